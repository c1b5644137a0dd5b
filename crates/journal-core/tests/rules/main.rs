//! What a consumer does, rule by rule; the model test next door asks whether the rules fit together.

mod lanes;
mod operator;
mod orders;
mod outcomes;
mod rebinds;
mod support;
mod waits;
