use super::model::{Dice, Model};
use super::{compare, message, open};
use std::sync::Arc;
use waybill_spool::{Crash, CrashingStore, LastWrite, Loss, Store};
use waybill_streams_core::{Cleanup, Message};

enum Deed {
    Publish(Vec<Message>),
    Sweep(Cleanup),
}

/// Deeds of at most one write each.
fn script() -> Vec<Deed> {
    let mut dice = Dice(4711);
    let deed = |number: usize| match number % 3 {
        2 => Deed::Sweep(dice.rule(true)),
        _ => Deed::Publish((0..3).map(|_| dice.message()).collect()),
    };
    (0..18).map(deed).collect()
}

/// The log as it is after each deed, and which of them were acknowledged.
struct Run {
    states: Vec<Model>,
    /// The state after the last publish that was acknowledged: nothing takes that back.
    acknowledged: usize,
}

async fn run(store: Arc<dyn Store>) -> Run {
    let log = open(store, true).await;
    let mut model = Model::default();
    let mut run = Run { states: vec![model.clone()], acknowledged: 0 };
    for deed in script() {
        let done = match deed {
            Deed::Publish(messages) => {
                model.publish(&messages);
                let done = log.publish(messages).await;
                if let Ok(next) = done {
                    assert_eq!(next, model.next);
                    run.acknowledged = run.states.len();
                }
                done.is_ok()
            }
            Deed::Sweep(rule) => {
                model.clean_up(rule);
                log.clean_up(rule).await.is_ok()
            }
        };
        run.states.push(model.clone());
        if !done {
            // Nobody knows where the log stands: nothing is taken any more, and no offset is made up.
            assert!(log.publish(vec![message(0, None, None)]).await.is_err());
            return run;
        }
    }
    run
}

#[tokio::test]
async fn a_crash_at_any_write_loses_no_message_that_was_acknowledged_and_tears_none() {
    let whole = CrashingStore::new(Crash::NEVER);
    let whole = Arc::new(whole);
    run(whole.clone()).await;
    let writes = whole.commits();
    assert!(writes > 12, "{writes} writes");
    for crash in Crash::everywhere(writes) {
        let store = Arc::new(CrashingStore::new(crash));
        let run = run(store.clone()).await;
        let log = open(store.survivor(), true).await;
        // What the log is now it was at some moment from the last acknowledged publish on.
        let now = (*log.end().borrow(), super::everything(&log).await);
        let possible = &run.states[run.acknowledged..];
        let state = possible.iter().find(|state| (state.next, state.messages()) == now);
        let mut model = state.unwrap_or_else(|| panic!("{crash:?}: {now:?} never was")).clone();
        if crash.loss == Loss::Process && crash.last == LastWrite::Lost {
            assert!(now.0 >= run.states[run.acknowledged].next);
        }
        compare(&log, &model, &format!("{crash:?}")).await;
        // And it goes on without a gap.
        let more = vec![message(0, Some("a"), Some("later")), message(0, None, None)];
        model.publish(&more);
        assert_eq!(log.publish(more).await.unwrap(), model.next);
        compare(&log, &model, &format!("{crash:?}, later")).await;
    }
}
