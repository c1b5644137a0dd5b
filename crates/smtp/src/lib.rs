//! SMTP: reception ([`inbound`]) and delivery ([`outbound`]). The two share nothing but the protocol.
//!
//! A session asks policy ([`waybill_policy::PolicyHost`]) at each step and hands messages to the intake
//! ([`waybill_spool::Intake`]); the client reads 250 only after the intake has taken responsibility (I1). It refuses to
//! know Lua, queues or disks, never binds a port and never installs a signal handler: whoever calls [`inbound::run`]
//! does.
//!
//! ```no_run
//! use std::sync::Arc;
//! use waybill_smtp::inbound::{ListenerConfig, Shared, run};
//! # use waybill_spool::Intake;
//! # async fn example(intake: Arc<dyn Intake>, now: Arc<dyn Fn() -> waybill_types::Timestamp + Send + Sync>)
//! # -> std::io::Result<()> {
//! let policy = Arc::new(waybill_policy::ScriptedPolicy::new());
//! let config = ListenerConfig::default();
//! let listener = tokio::net::TcpListener::bind(&config.listen).await?;
//! let shared = Arc::new(Shared::new(config, "mta.example", policy, intake, now));
//! run(listener, shared, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```

pub mod inbound;
pub mod outbound;
