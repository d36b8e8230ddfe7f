//! What must hold in every state.

use otp::domain::decision::DecisionStatus;
use otp::domain::subject::Subject;
use otp::domain::verification_status::Status;

use super::Scenario;
use super::request::{Answer, Kind, State};
use super::stored::{DECISION, NOW, RECIPIENT, Who, approval_nonce, judged, times_recorded};
use super::world::World;

/// The invariant that `world` violates.
pub fn violation(scenario: &Scenario, world: &World) -> Option<String> {
    let rules: [fn(&Scenario, &World) -> Option<&'static str>; 7] = [
        refused_is_never_approved,
        answered_approvals_are_complete,
        replaced_approvals_are_recorded,
        approvals_are_recorded_once,
        owners_have_the_record,
        ended_ownership_does_not_come_back,
        decisions_are_final,
    ];
    let violated = rules.into_iter().find_map(|rule| rule(scenario, world));
    violated.map(str::to_owned)
}

fn has_record(subject: &Subject) -> bool {
    let mut recipients = subject.recipients.iter();
    recipients.any(|known| known.recipient == RECIPIENT)
}

fn is_valid(world: &World, who: Who) -> bool {
    let mut requests = world.requests.iter();
    requests.any(|request| {
        request.kind == Kind::Check(who)
            && matches!(request.state, State::Answered(Answer::Valid(_)))
    })
}

/// Whether something that ends the verified recipient has started.
fn may_have_ended(world: &World) -> bool {
    world.has_started(Kind::Release) || world.has_started(Kind::Removal)
}

fn refused_is_never_approved(_: &Scenario, world: &World) -> Option<&'static str> {
    for verification in world.recipient().readable(NOW) {
        let params = verification.params();
        let is_taken = params.subject.as_ref().is_some_and(|s| s.is_taken);
        if is_taken && verification.status(NOW) == Status::Approved {
            return Some("a refused verification is shown as approved");
        }
    }
    let both = Who::ALL.into_iter().all(|who| is_valid(world, who));
    let is_unique = world.recipient().readable(NOW).any(|verification| {
        let subject = verification.params().subject.as_ref();
        subject.is_some_and(|subject| subject.is_unique)
    });
    (both && is_unique && !may_have_ended(world)).then_some("two subjects own the recipient")
}

fn answered_approvals_are_complete(scenario: &Scenario, world: &World) -> Option<&'static str> {
    let is_shown = world.is_answered(Kind::Get, Answer::Shown(Status::Approved));
    for who in Who::ALL {
        let is_answered = is_valid(world, who) || who == Who::First && is_shown;
        if !is_answered || may_have_ended(world) {
            continue;
        }
        if !has_record(&judged(world.subject(who))) {
            return Some("an answered approval is not recorded");
        }
        let (recipient, owner) = (world.recipient(), Some(who.key()));
        if scenario.is_unique && (recipient.owner(), recipient.stored_owner) != (owner, owner) {
            return Some("the owner of an answered approval is not stored");
        }
    }
    None
}

fn replaced_approvals_are_recorded(_: &Scenario, world: &World) -> Option<&'static str> {
    let mut past = world.recipient().past.iter();
    let is_missing = past.any(|past| {
        let subject = past.params.subject.as_ref();
        let who = subject.map(|subject| Who::of(subject.key));
        let nonce = approval_nonce(past.params.nonce);
        let is_recorded = |who| times_recorded(world.subject(who), nonce) > 0;
        past.status == Status::Approved && !who.is_some_and(is_recorded)
    });
    is_missing.then_some("a send replaced an approval that is not recorded")
}

fn approvals_are_recorded_once(_: &Scenario, world: &World) -> Option<&'static str> {
    let times = Who::ALL.map(|who| {
        let nonce = approval_nonce(who.verification());
        times_recorded(world.subject(who), nonce)
    });
    (times > [1, 1] || times[1] > 1).then_some("an approval is recorded twice")
}

fn owners_have_the_record(_: &Scenario, world: &World) -> Option<&'static str> {
    let owner = world.recipient().stored_owner.map(Who::of)?;
    let is_complete = has_record(&judged(world.subject(owner)));
    // A release removes the record first, and is repeated until it has ended the ownership.
    (!is_complete && !world.has_started(Kind::Release))
        .then_some("an owner has no record of the recipient")
}

fn ended_ownership_does_not_come_back(_: &Scenario, world: &World) -> Option<&'static str> {
    for request in &world.requests {
        let is_end = matches!(request.kind, Kind::Release | Kind::Removal);
        let is_of_first = request.kind == Kind::Removal || request.owner == Some(Who::First);
        if !is_end || !is_of_first || request.state != State::Answered(Answer::Done) {
            continue;
        }
        if has_record(&judged(world.subject(Who::First))) {
            return Some("a removed recipient is there again");
        }
        if world.recipient().owner() == Some(Who::First.key()) {
            return Some("an ended ownership is in effect again");
        }
    }
    None
}

fn decisions_are_final(scenario: &Scenario, world: &World) -> Option<&'static str> {
    let subject = judged(world.subject(Who::First));
    let status = subject.decision(DECISION, NOW)?.status(NOW);
    let is_denied = world.is_answered(Kind::Denial, Answer::Done);
    if is_denied && status != DecisionStatus::Denied {
        return Some("a denied decision is not denied");
    }
    if status == DecisionStatus::Approved && !scenario.any_counts {
        return Some("a recipient that was not known has approved a decision");
    }
    let answered = |status| Answer::Valid(Some(status));
    let check = Kind::Check(Who::First);
    let is_approved = world.is_answered(check, answered(DecisionStatus::Approved));
    if is_approved && status != DecisionStatus::Approved {
        return Some("an approved decision is not approved any more");
    }
    let is_pending = world.is_answered(check, answered(DecisionStatus::Pending));
    (is_pending && scenario.any_counts).then_some("a valid check has not counted")
}
