//! What the limits do to generated traffic: money lost with and without them, false rejections,
//! time to block. The rules are those of the service; only the table is replaced, by memory. `cargo
//! test -p tests --test it traffic:: -- --nocapture` prints a report.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use otp::domain::conversion::{
    ConversionHistory, ConversionRule, ConversionScope, LET_THROUGH_ONE_IN, Sample,
};
use otp::domain::ids::{RecordKey, VerificationNonce};
use otp::domain::policy::Policy;
use otp::domain::rate_limit::{self, Limit, Quota, Window};
use otp::domain::recipient::Recipient;
use otp::domain::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};

use super::traffic_generators::{
    HOME, SeededRandom, TrafficSend, beside_few, many_ranges, normal, one_range, outage, people,
    pumped_sends,
};

/// What one limit asks of a send.
#[derive(Clone, Copy)]
struct Rules {
    limit: Limit,
    quota: Option<Quota>,
    conversion: Option<ConversionRule>,
}

/// One limit as the table would store it, at a rate at which every send is a sample.
#[derive(Default)]
struct StoredLimit {
    window: Window,
    history: ConversionHistory,
    samples: Vec<(Sample, bool)>,
    held: u32,
}

impl StoredLimit {
    /// Whether the limit admits a send.
    fn admits(&mut self, rules: Rules, now: Timestamp) -> bool {
        let full_until = rules
            .quota
            .and_then(|quota| self.window.full_until(quota, now));
        let Some(rule) = rules.conversion else {
            return full_until.is_none();
        };
        let was_low = self.history.is_low(rule);
        let due = self
            .samples
            .extract_if(.., |(sample, _)| sample.due() <= now);
        let outcomes = due.filter_map(|(sample, typed)| sample.outcome(Some(typed), now));
        self.history.learn(outcomes.collect::<Vec<_>>(), rule);
        let is_low = self.history.is_low(rule);
        if is_low && !was_low {
            self.held = 0;
        }
        let is_held = is_low && self.held < LET_THROUGH_ONE_IN - 1;
        self.held += u32::from(is_held && full_until.is_none());
        full_until.is_none() && !is_held
    }

    fn count(&mut self, rules: Rules, send: &TrafficSend) {
        if let Some(quota) = rules.quota {
            self.window.slots.insert(0, send.at);
            self.window.slots.truncate(quota.slots());
        }
        let Some(rule) = rules.conversion else {
            return;
        };
        let sample = Sample {
            recipient: RecordKey([0; 12]),
            verification: VerificationNonce([0; 4]),
            at: send.at,
            salt: [0; 2],
        };
        self.samples.push((sample, send.is_typed));
        if self.history.is_low(rule) {
            self.held = 0;
        }
    }
}

/// All limits of one app.
#[derive(Default)]
struct Guard {
    policy: Policy,
    recipients: HashMap<(&'static str, u64, u64), Recipient>,
    limits: HashMap<(&'static str, Vec<u8>), StoredLimit>,
}

impl Guard {
    /// Whether a send is admitted. It counts in all limits or in none.
    fn admit(&mut self, send: &TrafficSend) -> Result<(), Limit> {
        let now = send.at;
        let recipient = self
            .recipients
            .entry((send.country, send.range, send.line))
            .or_default();
        recipient
            .check_limits(&self.policy, now)
            .map_err(|limited| limited.limit)?;
        let limits = self.limits_of(send);
        for (kind, key, rules) in &limits {
            let stored = self.limits.entry((kind, key.clone())).or_default();
            if !stored.admits(*rules, now) {
                return Err(rules.limit);
            }
        }
        for (kind, key, rules) in limits {
            let stored = self.limits.entry((kind, key)).or_default();
            stored.count(rules, send);
        }
        if let Some(recipient) = self
            .recipients
            .get_mut(&(send.country, send.range, send.line))
        {
            recipient.sends.push(now);
            recipient.prune(now);
        }
        Ok(())
    }

    /// The limits of a send beyond those of its recipient: kind, key and rules.
    fn limits_of(&self, send: &TrafficSend) -> [(&'static str, Vec<u8>, Rules); 3] {
        let conversion = self.policy.conversion_min;
        let client = IpAddr::V4(Ipv4Addr::from_bits(send.client));
        let hourly = Quota {
            sends: self.policy.client_sends_per_hour,
            seconds: HOUR_SECONDS,
        };
        let prefix_key = [send.country.as_bytes(), &send.range.to_be_bytes()].concat();
        let country = Rules {
            limit: Limit::Conversion(ConversionScope::Country),
            quota: None,
            conversion,
        };
        let client_network = Rules {
            limit: Limit::Client,
            quota: Some(hourly),
            conversion: None,
        };
        let prefix = Rules {
            limit: Limit::Prefix,
            quota: Some(self.policy.prefix_sends),
            conversion,
        };
        [
            ("country", send.country.as_bytes().to_vec(), country),
            ("client", rate_limit::client_network(client), client_network),
            ("prefix", prefix_key, prefix),
        ]
    }
}

/// The result of some traffic.
#[derive(Default)]
struct Outcome {
    sends: usize,
    rejected_people: usize,
    people: usize,
    /// Range and time of the texts to pumped numbers.
    pumped_sends: Vec<(u64, Timestamp)>,
    lost_without: f64,
    lost_with: f64,
    blocked_after: Option<i64>,
}

impl Outcome {
    fn of(mut traffic: Vec<TrafficSend>) -> Self {
        traffic.sort_by_key(|send| send.at);
        let (mut guard, mut outcome) = (
            Guard::default(),
            Self {
                sends: traffic.len(),
                ..Self::default()
            },
        );
        let mut pumping_started = None;
        for send in &traffic {
            let admitted = guard.admit(send);
            if send.is_pumped {
                let pumping_started = *pumping_started.get_or_insert(send.at);
                outcome.lost_without += send.price;
                match admitted {
                    Ok(()) => {
                        outcome.lost_with += send.price;
                        outcome.pumped_sends.push((send.range, send.at));
                    }
                    Err(_) => drop(
                        outcome
                            .blocked_after
                            .get_or_insert(send.at.seconds_since(pumping_started)),
                    ),
                }
            } else {
                outcome.people += 1;
                let is_false = matches!(
                    admitted,
                    Err(Limit::Client | Limit::Prefix | Limit::Conversion(_) | Limit::Spend)
                );
                outcome.rejected_people += usize::from(is_false);
            }
        }
        outcome
    }

    fn false_rejections(&self) -> f64 {
        self.rejected_people as f64 / self.people.max(1) as f64
    }

    /// The share of the loss that the limits do not prevent.
    fn loss_left(&self) -> f64 {
        if self.lost_without > 0.0 {
            self.lost_with / self.lost_without
        } else {
            0.0
        }
    }

    /// The most texts to one range in any ten minutes.
    fn texts_in_ten_minutes(&self) -> usize {
        let within = |(range, from): &(u64, Timestamp)| {
            self.pumped_sends
                .iter()
                .filter(|(other, at)| {
                    other == range && *at >= *from && at.seconds_since(*from) < 600
                })
                .count()
        };
        self.pumped_sends.iter().map(within).max().unwrap_or(0)
    }
}

const SEEDS: [u64; 3] = [1, 20_261_121, 0xDEAD_BEEF];

#[test]
fn pumping_one_range_gets_at_most_twenty_texts() {
    for seed in SEEDS {
        for (name, pumping) in one_range() {
            let outcome = Outcome::of(beside_few(&mut SeededRandom(seed), &pumping));
            assert!(
                outcome.texts_in_ten_minutes() <= 20,
                "{name}, seed {seed}: {}",
                outcome.texts_in_ten_minutes()
            );
        }
    }
}

#[test]
fn pumping_many_ranges_loses_less_than_a_tenth() {
    for seed in SEEDS {
        for (name, pumping) in many_ranges() {
            let outcome = Outcome::of(beside_few(&mut SeededRandom(seed), &pumping));
            assert!(
                outcome.loss_left() <= 0.1,
                "{name}, seed {seed}: {:.3} of the loss remains",
                outcome.loss_left()
            );
        }
    }
}

#[test]
fn normal_sends_are_almost_never_rejected() {
    for seed in SEEDS {
        for (name, traffic) in normal(&mut SeededRandom(seed)) {
            let outcome = Outcome::of(traffic);
            assert!(
                outcome.false_rejections() < 0.001,
                "{name}, seed {seed}: {} of {}",
                outcome.rejected_people,
                outcome.people
            );
        }
    }
}

#[test]
fn short_outage_rejects_almost_no_send() {
    for seed in SEEDS {
        let outcome = Outcome::of(outage(&mut SeededRandom(seed), 5));
        assert!(
            outcome.false_rejections() < 0.001,
            "seed {seed}: {} of {}",
            outcome.rejected_people,
            outcome.people
        );
    }
}

#[test]
fn report_is_printed() {
    let mut random = SeededRandom(SEEDS[0]);
    let mut rows = normal(&mut random);
    rows.push(("an outage of five minutes", outage(&mut random, 5)));
    rows.push(("an outage of half an hour", outage(&mut random, 30)));
    rows.extend(
        one_range()
            .into_iter()
            .chain(many_ranges())
            .map(|(name, pumping)| (name, beside_few(&mut random, &pumping))),
    );
    let (_, pumping) = many_ranges().remove(1);
    let mixed = [
        people(&mut random, HOME, 0, DAY_SECONDS, 12_000),
        pumped_sends(&mut random, HOME, 0, &pumping),
    ]
    .concat();
    rows.push(("many ranges among many users", mixed));
    println!(
        "{:46} {:>8} {:>12} {:>12} {:>8} {:>10} {:>9}",
        "traffic", "sends", "lost without", "lost with", "left", "refused", "block, s"
    );
    for (name, traffic) in rows {
        let outcome = Outcome::of(traffic);
        let (left, refused) = (
            100.0 * outcome.loss_left(),
            100.0 * outcome.false_rejections(),
        );
        let block = outcome
            .blocked_after
            .map_or("-".to_owned(), |seconds| seconds.to_string());
        println!(
            "{name:46} {:>8} {:>12.2} {:>12.2} {left:>7.1}% {refused:>9.3}% {block:>9}",
            outcome.sends, outcome.lost_without, outcome.lost_with
        );
    }
}
