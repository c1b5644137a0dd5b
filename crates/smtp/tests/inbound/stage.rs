//! What a conversation needs besides its words, written behind `!` in its file. Before it begins:
//!
//! ```text
//! ! config {"max_recipients_per_message": 2}    keys of the listener
//! ! from 192.0.2.7:4000                         where the client is
//! ! knows tim                                   policy of `listening::with_tim`, before config
//! ! reject EVENT CODE TEXT                      what policy does in an event,
//! ! disconnect EVENT CODE TEXT                  the same and a 421,
//! ! force EVENT CODE TEXT                       the same and nothing more,
//! ! fail EVENT                                  with an error,
//! ! hang EVENT                                  or never
//! ! reword TEXT                                 what it makes of every refusal for good
//! ! intake NAME                                 a state of the intake, or an error
//! ! clock                                       waiting takes no time
//! ! crowd                                       somebody else has the listener's only place
//! ```
//!
//! In between: `! tls` is a handshake, `! stop` stops the listener, `! took TEXT` says what the last message is that was
//! taken, byte by byte.

use crate::common::{Client, Setup, disconnect, fail, reject};
use crate::listening::with_tim;
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use waybill_policy::{Args, Ending, Epoch, PolicyError, PolicyHost, PolicyObject, Returned, Value};
use waybill_spool::{IntakeError, IntakeState};

/// A line behind `!`.
pub(crate) enum Cue {
    Tls,
    Stop,
    /// The last message that was taken.
    Took(String),
    /// Read before the conversation began.
    Setup,
}

impl Cue {
    pub(crate) fn of(line: &str) -> Option<Cue> {
        match line.strip_prefix("! ")?.split_once(' ').unwrap_or_else(|| (&line[2..], "")) {
            ("tls", _) => Some(Cue::Tls),
            ("stop", _) => Some(Cue::Stop),
            ("took", body) => Some(Cue::Took(body.to_owned())),
            _ => Some(Cue::Setup),
        }
    }
}

/// The surroundings of one conversation.
pub(crate) struct Stage {
    setup: Setup,
    paused: bool,
    crowded: bool,
}

impl Stage {
    pub(crate) fn of(name: &str, script: &str) -> Stage {
        let mut stage = Stage { setup: Setup::default(), paused: false, crowded: false };
        for line in script.lines().filter_map(|line| line.strip_prefix("! ")) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            stage = stage.with(word, rest).unwrap_or_else(|| panic!("{name}: ! {line}"));
        }
        stage
    }

    fn with(mut self, word: &str, rest: &str) -> Option<Stage> {
        let answer = || {
            let (event, said) = rest.split_once(' ')?;
            let (code, text) = said.split_once(' ')?;
            Some((event, code.parse::<u16>().ok()?, text))
        };
        match word {
            "tls" | "stop" | "took" => {}
            "clock" => self.paused = true,
            "crowd" => self.crowded = true,
            "config" => self.setup = self.setup.config(serde_json::from_str(rest).ok()?),
            "from" => self.setup = self.setup.from(rest),
            "knows" if rest == "tim" => self.setup = with_tim(),
            "fail" => self.setup = self.setup.on(rest, fail),
            "reject" => {
                let (event, code, text) = answer()?;
                self.setup = self.setup.on(event, reject(code, text));
            }
            "disconnect" => {
                let (event, code, text) = answer()?;
                self.setup = self.setup.on(event, disconnect(code, text, Ending::FollowWith421));
            }
            "force" => {
                let (event, code, text) = answer()?;
                self.setup = self.setup.on(event, disconnect(code, text, Ending::Force));
            }
            "reword" => {
                let text = rest.to_owned();
                self.setup = self.setup.on("smtp_server_rewrite_response", move |args: Args| {
                    let refused = matches!(args[0], Value::Int(500..));
                    Ok(if refused { Returned(vec![Value::Nil, text.as_str().into()]) } else { Returned::default() })
                });
            }
            "hang" => self.setup.host = Some(Arc::new(Hangs(rest.to_owned()))),
            "intake" => match states().into_iter().find(|(name, _)| *name == rest) {
                Some((_, state)) => self.setup.intake.set_state(state),
                None => self.setup.intake.fail_with(errors().into_iter().find(|(name, _)| *name == rest)?.1),
            },
            _ => return None,
        }
        Some(self)
    }

    pub(crate) async fn connect(self) -> Client {
        if self.crowded { self.setup.connect_to_crowd().await } else { self.setup.connect() }
    }

    pub(crate) fn runtime(&self) -> Runtime {
        Builder::new_current_thread().enable_all().start_paused(self.paused).build().unwrap()
    }
}

/// States in which no mail is taken.
pub(crate) fn states() -> [(&'static str, IntakeState); 5] {
    let states = [
        IntakeState::WaitingForSpool,
        IntakeState::ShuttingDown,
        IntakeState::LoadShedding,
        IntakeState::DiskFull("data".into()),
        IntakeState::SpoolFailing("broken".into()),
    ];
    states.map(|state| {
        let name = match &state {
            // All are named: a new one is to be in the list above, and to have a conversation.
            IntakeState::Open => "Open",
            IntakeState::WaitingForSpool => "WaitingForSpool",
            IntakeState::ShuttingDown => "ShuttingDown",
            IntakeState::LoadShedding => "LoadShedding",
            IntakeState::DiskFull(_) => "DiskFull",
            IntakeState::SpoolFailing(_) => "SpoolFailing",
        };
        (name, state)
    })
}

/// Errors of taking a message.
pub(crate) fn errors() -> [(&'static str, IntakeError); 4] {
    let errors = [
        IntakeError::ShuttingDown,
        IntakeError::Overloaded("too much at once".into()),
        IntakeError::Queue { queue: waybill_types::QueueName::new("example.com"), why: "broken".into() },
        IntakeError::Spool(waybill_spool::StoreError::Closed),
    ];
    errors.map(|error| {
        let name = match &error {
            IntakeError::ShuttingDown => "error:ShuttingDown",
            IntakeError::Overloaded(_) => "error:Overloaded",
            IntakeError::Queue { .. } => "error:Queue",
            IntakeError::Spool(_) => "error:Spool",
        };
        (name, error)
    })
}

/// Policy that never answers the one event that it handles.
pub(crate) struct Hangs(pub(crate) String);

impl PolicyHost for Hangs {
    fn call<'a>(&'a self, _event: &'a str, _args: Args) -> BoxFuture<'a, Result<Returned, PolicyError>> {
        Box::pin(std::future::pending())
    }

    fn call_each<'a>(
        &'a self,
        _event: &'a str,
        _items: Vec<Args>,
    ) -> BoxFuture<'a, Vec<Result<Returned, PolicyError>>> {
        Box::pin(std::future::pending())
    }

    fn construct<'a>(
        &'a self,
        _event: &'a str,
        _args: Args,
    ) -> BoxFuture<'a, Result<Box<dyn PolicyObject>, PolicyError>> {
        Box::pin(std::future::pending())
    }

    fn handles(&self, event: &str) -> bool {
        event == self.0
    }

    fn epoch(&self) -> Epoch {
        Epoch(0)
    }
}
