//! How a scope rests (one client network, prefix or country of one app), and the one write that counts a send to it.
//!
//! Its window rests as `window` says.
//!
//! What became of its sends is learned by later ones. Each leaves a sample (`s…`: whose, which verification, when) while
//! there are fewer than a hundred; a send that finds samples old enough (`due`) looks their recipients up and writes the
//! outcomes (`ring`: bits, of which there are `n`, `ok` of them set) in the same write that counts it. `v` tells whether
//! another send has learned in between. `k` counts the sends held back since one went out.

use super::sample_codec::{pack_bits, packed, sample_name, unpack_bits, unpacked};
use super::window;
use super::window::Place;
use crate::domain::conversion::Rules;
use crate::domain::conversion::Scope;
use crate::domain::conversion::Verdict;
use crate::domain::conversion::{ConversionRule, HELD_ONE_IN, Outcomes, SAMPLES_MAX, Sample};
use crate::domain::ids::{RecordKey, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::status::Status;
use crate::domain::time::{DAY_SECONDS, Timestamp};
use crate::store::attributes::{Item, binary, bytes, number, number_value};
use crate::store::expression::{Repeat, Update, WriteResult};
use crate::store::recipients::jittered_backoff;
use crate::store::{Store, StoreError, recipient_item};

/// How often a write is planned anew after another send came first. Each time some send got its way.
const TRIES_MAX: u64 = 30;
/// After so many it waits before the next, at random and longer each time, so that many sends at once part.
const FREE_TRIES: u64 = 3;
const WAIT_MILLIS_MAX: u64 = 5;
/// How long outcomes are remembered of a scope that nothing is sent to.
const OUTCOMES_SECONDS: i64 = 30 * DAY_SECONDS;
/// What the one send that goes out has to wait for.
const HELD_BEFORE_ONE: u32 = HELD_ONE_IN - 1;

/// A send that has taken a place gives it back within this time, if at all.
const CONTESTED_SECONDS: i64 = 2;

const PENDING: &str = "pc";
const DUE: &str = "due";
const OUTCOMES: &str = "ring";
const KNOWN: &str = "n";
const APPROVED: &str = "ok";
const LEARNED: &str = "v";
const HELD: &str = "k";

/// What a send took of a scope.
#[derive(Clone, Default, Debug)]
pub(super) struct TakenOfScope {
    window: bool,
    sample: Option<String>,
    chosen: bool,
}

/// A send that a scope refuses.
pub(super) struct Refused {
    pub(super) until: Timestamp,
    pub(super) is_contested: bool,
}

/// A scope as it was read.
pub(super) struct Seen {
    pub(super) scope: Scope,
    samples: Vec<(String, Sample)>,
    /// How many they are, as the condition counts them.
    pending: usize,
    due: Option<Timestamp>,
    learned: i64,
    /// Outcomes are kept that the rule, changed since, does not look at.
    is_longer: bool,
}

/// What has become known.
struct Learned {
    outcomes: Outcomes,
    /// Samples that are done with, and how many are left.
    done: Vec<String>,
    left: usize,
    /// When the next is due.
    due: Option<Timestamp>,
}

/// The next write.
struct Plan {
    /// It counts a send, unless it is refused until then.
    refused: Option<Timestamp>,
    is_contested: bool,
    begins_block: bool,
    /// Name of the sample that it leaves.
    sample: Option<String>,
    held: Held,
    /// Holds only as long as nobody has learned since.
    learned_before: Option<i64>,
    learned: Option<Learned>,
}

/// What becomes of the count of sends held back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Same,
    Set(u32),
    More,
    Chosen,
}

impl Store {
    /// Counts a send to the scope under `key`; refused until then, if `Err`.
    pub(super) async fn take_of_scope(
        &self,
        key: &RecordKey,
        rules: Rules,
        sample: &Sample,
        now: Timestamp,
    ) -> Result<Result<TakenOfScope, Refused>, StoreError> {
        let (mut plan, mut turn) = (Plan::first(rules), None);
        for tries in 1..=TRIES_MAX {
            let there = match self
                .update(
                    *key,
                    plan.write(rules, sample, now),
                    ttl(rules, now),
                    Repeat::BySdk,
                )
                .await?
            {
                WriteResult::Written(_) => return Ok(plan.end(rules)),
                WriteResult::ConditionFailed(there) => there.unwrap_or_default(),
            };
            let seen = read(&there, rules);
            let mut learned = None;
            if let Some(rule) = rules.conversion.filter(|_| seen.has_news(now)) {
                if turn.is_none() {
                    turn = self.learning.try_lock().ok();
                }
                if turn.is_none() {
                    // Another call of this instance is learning, most likely just this.
                    turn = Some(self.learning.lock().await);
                    plan = Plan::first(rules);
                    continue;
                }
                learned = Some(self.learn(&seen, rule, now).await?);
            } else {
                turn = None;
                jittered_backoff(WAIT_MILLIS_MAX * tries.saturating_sub(FREE_TRIES)).await;
            }
            match Plan::after(seen, learned, rules, now) {
                Ok(next) => plan = next,
                Err(end) => return Ok(end),
            }
        }
        Err(StoreError::Conflict)
    }

    /// Gives back what [`Self::take_of_scope`] took.
    pub(super) async fn give_back_to_scope(
        &self,
        key: &RecordKey,
        rules: Rules,
        sample: &Sample,
        taken: &TakenOfScope,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // As if it were still the newest, and its block had others.
        let mut place = rules.quota.filter(|_| taken.window).map(|quota| Place {
            quota,
            at: 0,
            filled: u32::MAX,
        });
        for _ in 0..TRIES_MAX {
            if place.is_none() && taken.sample.is_none() && !taken.chosen {
                return Ok(());
            }
            let there = match self
                .update(
                    *key,
                    give_back(place, sample, taken),
                    ttl(rules, now),
                    Repeat::Never,
                )
                .await?
            {
                WriteResult::Written(_) => return Ok(()),
                WriteResult::ConditionFailed(there) => there.unwrap_or_default(),
            };
            if taken
                .sample
                .as_ref()
                .is_some_and(|name| bytes(&there, name) != packed(sample))
            {
                // Given back before, or long since learned from.
                return Ok(());
            }
            place =
                place.and_then(|place| place.found(&read(&there, rules).scope.window, sample.at));
        }
        Err(StoreError::Conflict)
    }

    /// Looks up what became of the samples that are old enough.
    async fn learn(
        &self,
        seen: &Seen,
        rule: ConversionRule,
        now: Timestamp,
    ) -> Result<Learned, StoreError> {
        let due: Vec<&(String, Sample)> = seen
            .samples
            .iter()
            .filter(|(_, sample)| sample.due() <= now)
            .collect();
        let mut keys: Vec<RecordKey> = due.iter().map(|(_, sample)| sample.recipient).collect();
        keys.sort_unstable();
        keys.dedup();
        let read = |(key, there): (RecordKey, Option<Item>)| {
            (
                key,
                there.and_then(|there| {
                    recipient_item::read(&self.keyring, key, &there, now).ok()?
                }),
            )
        };
        let recipients: Vec<_> = self
            .items(&keys, false)
            .await?
            .into_iter()
            .map(read)
            .collect();
        let (mut outcomes, mut done) = (seen.scope.outcomes.clone(), vec![]);
        for (name, sample) in due {
            // One that the table had no time for stays a sample.
            let Some((_, recipient)) = recipients.iter().find(|(key, _)| *key == sample.recipient)
            else {
                continue;
            };
            let approved = recipient
                .as_ref()
                .and_then(|recipient| approved(recipient, sample, now));
            outcomes.learn(sample.outcome(approved, now), rule);
            done.push(name.clone());
        }
        outcomes.learn([], rule);
        let left: Vec<Timestamp> = seen
            .samples
            .iter()
            .filter(|(name, _)| !done.contains(name))
            .map(|(_, sample)| sample.due())
            .collect();
        Ok(Learned {
            outcomes,
            done,
            left: left.len(),
            due: left.into_iter().min(),
        })
    }
}

/// Whether the verification of `sample` was approved; `None` if nothing is known of it.
fn approved(recipient: &Recipient, sample: &Sample, now: Timestamp) -> Option<bool> {
    let is_it = |nonce: &VerificationNonce| *nonce == sample.verification;
    let of_now = recipient
        .current
        .as_ref()
        .filter(|v| is_it(&v.params.nonce))
        .map(|v| v.status(now));
    let before = || {
        recipient
            .past
            .iter()
            .find(|ended| is_it(&ended.params.nonce))
            .map(|ended| ended.status)
    };
    of_now.or_else(before).map(Status::has_success)
}

impl Seen {
    /// Whether there are outcomes to learn, or to forget.
    fn has_news(&self, now: Timestamp) -> bool {
        self.is_longer || self.due.is_some_and(|due| due <= now)
    }
}

impl Plan {
    /// As if nothing stood in the way: right for most sends.
    fn first(rules: Rules) -> Self {
        Self {
            refused: None,
            is_contested: false,
            begins_block: rules.quota.is_some_and(|quota| quota.block_sends() == 1),
            sample: rules.conversion.map(|_| sample_name()),
            held: Held::Same,
            learned_before: None,
            learned: None,
        }
    }

    /// The next write, after one was refused because of what was `seen`; the end, if there is nothing to write.
    fn after(
        mut seen: Seen,
        learned: Option<Learned>,
        rules: Rules,
        now: Timestamp,
    ) -> Result<Self, Result<TakenOfScope, Refused>> {
        let was_low = rules
            .conversion
            .is_some_and(|rule| seen.scope.outcomes.are_low(rule));
        let pending = learned
            .as_ref()
            .map_or(seen.pending, |learned| learned.left);
        if let Some(learned) = &learned {
            seen.scope.outcomes = learned.outcomes.clone();
        }
        let is_low = rules
            .conversion
            .is_some_and(|rule| seen.scope.outcomes.are_low(rule));
        let becomes_low = is_low && !was_low;
        if becomes_low {
            seen.scope.held = 0;
        }
        let verdict = seen.scope.judge(rules, now);
        let held = match verdict {
            Verdict::Held if becomes_low => Held::Set(1),
            Verdict::Free | Verdict::Full(_) if becomes_low => Held::Set(0),
            Verdict::Held => Held::More,
            Verdict::Chosen => Held::Chosen,
            Verdict::Free | Verdict::Full(_) => Held::Same,
        };
        let refused = verdict.until(now);
        let is_sample = rules.conversion.is_some() && refused.is_none() && pending < SAMPLES_MAX;
        let newest = seen.scope.window.moments.first();
        let plan = Self {
            refused,
            is_contested: newest
                .is_some_and(|newest| now.seconds_since(*newest) <= CONTESTED_SECONDS),
            begins_block: rules
                .quota
                .is_some_and(|quota| seen.scope.window.begins_block(quota, now)),
            sample: is_sample.then(|| {
                loop {
                    let name = sample_name();
                    if seen.samples.iter().all(|(taken, _)| *taken != name) {
                        break name;
                    }
                }
            }),
            held,
            learned_before: (is_low || learned.is_some()).then_some(seen.learned),
            learned,
        };
        let counts = plan.refused.is_none() && rules.quota.is_some();
        let writes =
            counts || plan.sample.is_some() || plan.held != Held::Same || plan.learned.is_some();
        if writes {
            Ok(plan)
        } else {
            Err(plan.end(rules))
        }
    }

    /// What the send comes to once the plan is written.
    fn end(self, rules: Rules) -> Result<TakenOfScope, Refused> {
        let taken = TakenOfScope {
            window: rules.quota.is_some(),
            sample: self.sample,
            chosen: self.held == Held::Chosen,
        };
        let is_contested = self.is_contested;
        self.refused.map_or(Ok(taken), |until| {
            Err(Refused {
                until,
                is_contested,
            })
        })
    }

    fn write(&self, rules: Rules, sample: &Sample, now: Timestamp) -> Update {
        let mut write = Update::default();
        if let Some(quota) = rules.quota.filter(|_| self.refused.is_none()) {
            write = window::take(write, quota, self.begins_block, now);
        }
        let Some(rule) = rules.conversion else {
            return write;
        };
        write = match self.learned_before {
            None => write
                .and(format!("(attribute_not_exists({KNOWN}) OR {KNOWN} < :window OR ({KNOWN} = :window AND {APPROVED} >= :approved))"))
                .value(":window", number_value(rule.window))
                .value(":approved", number_value(rule.approved_min())),
            Some(0) => write.and(format!("attribute_not_exists({LEARNED})")),
            Some(learned) => write.and(format!("{LEARNED} = :learned")).value(":learned", number_value(learned)),
        };
        if let Some(name) = &self.sample {
            write = write
                .name(format!("#{name}"), name.clone())
                .set(format!("#{name} = :sample"))
                .and(format!("attribute_not_exists(#{name})"))
                .value(":sample", binary(&packed(sample)));
        }
        write = match &self.learned {
            Some(learned) => self.write_learned(write, learned, sample),
            None => self.write_sampled(write, sample, now),
        };
        match self.held {
            Held::Same => write,
            Held::Set(held) => write
                .set(format!("{HELD} = :held"))
                .value(":held", number_value(held)),
            Held::More => write
                .set(format!("{HELD} = if_not_exists({HELD}, :none) + :more"))
                .and(format!(
                    "(attribute_not_exists({HELD}) OR {HELD} < :before)"
                ))
                .value(":none", number_value(0))
                .value(":more", number_value(1))
                .value(":before", number_value(HELD_BEFORE_ONE)),
            Held::Chosen => write
                .set(format!("{HELD} = {HELD} - :before"))
                .and(format!("{HELD} >= :before"))
                .value(":before", number_value(HELD_BEFORE_ONE)),
        }
    }

    /// With what has become known, and the new sample among those that are left.
    fn write_learned(&self, write: Update, learned: &Learned, sample: &Sample) -> Update {
        let pending = learned.left + usize::from(self.sample.is_some());
        let due = learned
            .due
            .into_iter()
            .chain(self.sample.as_ref().map(|_| sample.due()))
            .min();
        let mut write = write
            .set(format!(
                "{OUTCOMES} = :outcomes, {KNOWN} = :known, {APPROVED} = :approved"
            ))
            .set(format!("{LEARNED} = :next, {PENDING} = :pending"))
            .value(":outcomes", binary(&pack_bits(&learned.outcomes)))
            .value(":known", number_value(learned.outcomes.known()))
            .value(":approved", number_value(learned.outcomes.approved()))
            .value(
                ":next",
                number_value(self.learned_before.unwrap_or(0).saturating_add(1)),
            )
            .value(":pending", number_value(pending));
        for name in &learned.done {
            write = write
                .name(format!("#{name}"), name.clone())
                .remove(format!("#{name}"));
        }
        match due {
            Some(due) => write
                .set(format!("{DUE} = :due"))
                .value(":due", number_value(due.0)),
            None => write.remove(DUE),
        }
    }

    /// With the new sample, if there is nothing to learn and room for it.
    fn write_sampled(&self, write: Update, sample: &Sample, now: Timestamp) -> Update {
        let write = write
            .and(format!("(attribute_not_exists({DUE}) OR {DUE} > :now)"))
            .value(":now", number_value(now.0));
        if self.sample.is_none() {
            return write;
        }
        write
            .set(format!("{PENDING} = if_not_exists({PENDING}, :no) + :added, {DUE} = if_not_exists({DUE}, :due)"))
            .and(format!("(attribute_not_exists({PENDING}) OR {PENDING} < :samples)"))
            .value(":no", number_value(0))
            .value(":added", number_value(1))
            .value(":due", number_value(sample.due().0))
            .value(":samples", number_value(SAMPLES_MAX))
    }
}

/// Takes a send out of its `place` in the window, its sample and its choice.
fn give_back(place: Option<Place>, sample: &Sample, taken: &TakenOfScope) -> Update {
    let mut write = Update::default();
    if let Some(place) = place {
        write = window::give_back(write, place, sample.at);
    }
    if let Some(name) = &taken.sample {
        write = write
            .name(format!("#{name}"), name.clone())
            .remove(format!("#{name}"))
            .set(format!("{PENDING} = {PENDING} - :added"))
            .and(format!("#{name} = :sample"))
            .value(":added", number_value(1))
            .value(":sample", binary(&packed(sample)));
    }
    if taken.chosen {
        write = write
            .set(format!("{HELD} = if_not_exists({HELD}, :none) + :before"))
            .value(":none", number_value(0))
            .value(":before", number_value(HELD_BEFORE_ONE));
    }
    write
}

/// Reads a scope. What is missing reads as never sent to.
pub(super) fn read(there: &Item, rules: Rules) -> Seen {
    let count = |name: &str| u32::try_from(number(there, name)).unwrap_or(0);
    let mut outcomes = unpack_bits(bytes(there, OUTCOMES), count(KNOWN));
    let is_longer = rules
        .conversion
        .is_some_and(|rule| outcomes.known() > rule.window);
    if let Some(rule) = rules.conversion {
        outcomes.learn([], rule);
    }
    let mut samples: Vec<_> = there
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), unpacked(name, value)?)))
        .collect();
    samples.sort_unstable_by_key(|(_, sample)| sample.at);
    Seen {
        scope: Scope {
            window: rules
                .quota
                .map(|quota| window::read(there, quota))
                .unwrap_or_default(),
            outcomes,
            held: count(HELD),
        },
        samples,
        pending: usize::try_from(number(there, PENDING)).unwrap_or(0),
        due: Some(Timestamp(number(there, DUE))).filter(|due| due.0 > 0),
        learned: number(there, LEARNED),
        is_longer,
    }
}

fn ttl(rules: Rules, now: Timestamp) -> Timestamp {
    let window = rules
        .quota
        .map_or(0, |quota| quota.seconds)
        .saturating_add(DAY_SECONDS);
    now + (if rules.conversion.is_some() {
        window.max(OUTCOMES_SECONDS)
    } else {
        window
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rate_limit::Quota;

    /// The table takes expressions of at most 4096 bytes, and 300 functions and operators in an update.
    #[test]
    fn the_longest_write_fits_the_table() {
        let quota = Quota {
            sends: 1_000_000,
            seconds: DAY_SECONDS,
        };
        let sample = Sample {
            recipient: RecordKey([7; 12]),
            verification: VerificationNonce([8; 4]),
            at: Timestamp(1_795_291_200),
        };
        let rules = Rules {
            quota: Some(quota),
            conversion: Some(ConversionRule {
                percent: 10,
                window: 1000,
            }),
        };
        let done = (0..100).map(|at| format!("s{at:04x}")).collect();
        let learned = Learned {
            outcomes: Outcomes(vec![false; 1000]),
            done,
            left: 0,
            due: None,
        };
        let plan = Plan {
            begins_block: true,
            learned: Some(learned),
            learned_before: Some(7),
            held: Held::Chosen,
            ..Plan::first(rules)
        };
        assert!(plan.write(rules, &sample, sample.at).expression_length() < 4000);
        let taken = TakenOfScope {
            window: true,
            sample: plan.sample.clone(),
            chosen: true,
        };
        let longest = Quota {
            sends: 100,
            seconds: DAY_SECONDS,
        };
        assert!(
            give_back(
                Some(Place {
                    quota: longest,
                    at: 0,
                    filled: 1
                }),
                &sample,
                &taken
            )
            .expression_length()
                < 4000
        );
    }
}
