//! A runner over stores that fail: what is told of every event, whatever happens to the process.

mod crash;
mod desk;
mod fed;
mod operator;
mod orders;
mod rebinds;
mod restart;
mod scouting;
mod world;
