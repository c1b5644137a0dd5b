//! Who is responsible for a message, and when (I1).

use crate::common::Setup;
use waybill_spool::{IntakeError, IntakeState, StoreError};

#[tokio::test]
async fn i1_no_250_before_the_intake_has_committed() {
    let mut client = Setup::default().with_recipient().await;
    let gate = client.intake.gate();
    client.say("DATA").await;
    client.send("Subject: x\r\n\r\nbody\r\n.\r\n").await;
    gate.reached.notified().await;
    assert!(client.hears_nothing().await, "the intake has not said that the batch is committed");
    assert_eq!(client.intake.accepted().len(), 0);
    gate.open.notify_one();
    let reply = client.reply().await;
    assert_eq!(reply, format!("250 OK ids={}\r\n", client.intake.accepted()[0].id));
}

#[tokio::test]
async fn a_message_that_was_not_taken_is_refused_in_the_intakes_words() {
    for (error, reply) in [
        (IntakeError::ShuttingDown, "421 4.3.2 mta.example shutting down\r\n"),
        (IntakeError::Overloaded("too busy".into()), "451 4.3.1 too busy\r\n"),
        (
            IntakeError::Queue { queue: waybill_types::QueueName::new("q"), why: "no such path".into() },
            "421 4.3.0 mta.example technical difficulties\r\n",
        ),
        (IntakeError::Spool(StoreError::Closed), "451 4.3.0 try again later\r\n"),
    ] {
        let mut client = Setup::default().with_recipient().await;
        client.intake.fail_with(error);
        assert_eq!(client.submit("x").await, reply);
        assert_eq!(client.shared.stats.messages(), 0);
        if reply.starts_with("421") {
            assert_eq!(client.rest().await, "");
        } else {
            assert_eq!(client.say("NOOP").await, "250 OK\r\n");
        }
    }
}

#[tokio::test]
async fn a_server_that_takes_no_mail_says_so_at_the_greeting_and_at_mail() {
    for (state, reply) in [
        (IntakeState::WaitingForSpool, "421 4.3.2 mta.example waiting for spool startup\r\n"),
        (IntakeState::ShuttingDown, "421 4.3.2 mta.example shutting down\r\n"),
        (IntakeState::LoadShedding, "421 4.3.2 mta.example load shedding\r\n"),
        (IntakeState::DiskFull("data".into()), "421 4.3.2 mta.example disk is too full\r\n"),
        (IntakeState::SpoolFailing("io".into()), "421 4.3.2 mta.example spool is failing\r\n"),
    ] {
        let setup = Setup::default();
        setup.intake.set_state(state.clone());
        let mut client = setup.connect();
        assert_eq!(client.rest().await, reply);
        assert_eq!(client.shared.stats.denied(), 1);
        let mut client = Setup::default().greeted().await;
        client.intake.set_state(state);
        assert_eq!(client.say("NOOP").await, "250 OK\r\n");
        assert_eq!(client.say("MAIL FROM:<a@example.com>").await, reply);
        assert_eq!(client.rest().await, "");
        assert_eq!(client.intake.rejections().len(), 0);
    }
}

#[tokio::test]
async fn a_client_that_goes_before_the_dot_leaves_nothing() {
    let mut client = Setup::default().with_recipient().await;
    client.say("DATA").await;
    client.send("Subject: x\r\n\r\n.\r").await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    assert_eq!(client.rest().await, "");
    client.ended().await;
    assert_eq!(client.intake.accepted().len(), 0);
}
