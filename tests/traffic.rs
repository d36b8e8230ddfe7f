//! Traffic made from a seed (normal days, a launch, an outage, pumping of several kinds), and what the limits make of it:
//! money lost with and without them, false refusals, time to block. The rules are the program's own; only the table is
//! replaced, by memory. `cargo test -p tests --test it traffic:: -- --nocapture` prints the report.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use otp::domain::conversion::Rules;
use otp::domain::conversion::Scope;
use otp::domain::conversion::Verdict;
use otp::domain::conversion::{HELD_ONE_IN, SAMPLES_MAX, Sample};
use otp::domain::policy::Policy;
use otp::domain::rate_limit;
use otp::domain::rate_limit::Limit;
use otp::domain::rate_limit::Quota;
use otp::domain::recipient::Recipient;
use otp::domain::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};

const START: Timestamp = Timestamp(1_795_219_200);
/// Where the app has its users, and where it has hardly any: what a text costs there.
const HOME: (&str, f64) = ("FR", 0.045);
const AWAY: (&str, f64) = ("LV", 0.09);
/// Ranges of ten thousand numbers that a country's users are spread over.
const RANGES: u64 = 9000;

/// SplitMix64: the same traffic for the same seed.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A send that is asked for.
#[derive(Clone)]
struct Asked {
    at: Timestamp,
    country: &'static str,
    price: f64,
    /// Range and number within it.
    range: u64,
    line: u64,
    client: u32,
    /// Whether somebody types the code, if it arrives.
    is_typed: bool,
    is_pumped: bool,
}

/// People who want to come in: most type the code, some ask twice, a few give up. A third share the addresses of mobile
/// networks.
fn people(
    random: &mut Seeded,
    (country, price): (&'static str, f64),
    from: i64,
    seconds: i64,
    sends: u64,
) -> Vec<Asked> {
    let mut asked = vec![];
    for _ in 0..sends {
        let at =
            START + (from + i64::try_from(random.below(seconds.unsigned_abs())).expect("a moment"));
        let shared = random.one_in(3);
        let client = if shared {
            0x0A00_0000 + random.below(4000)
        } else {
            0x5000_0000 + random.below(1 << 28)
        };
        let (range, line) = (random.below(RANGES), random.below(10_000));
        let client = u32::try_from(client).expect("an address");
        let person = Asked {
            at,
            country,
            price,
            range,
            line,
            client,
            is_typed: !random.one_in(12),
            is_pumped: false,
        };
        if random.one_in(15) {
            let later = 35 + i64::try_from(random.below(60)).expect("seconds");
            asked.push(Asked {
                at: at + later,
                ..person.clone()
            });
        }
        asked.push(person);
    }
    asked
}

/// How somebody pumps.
struct Pumping {
    ranges: u64,
    is_sequential: bool,
    seconds: i64,
    /// One send in so many thousandths of a second.
    every_millis: i64,
    clients: u64,
}

/// Numbers that nobody reads: each text earns its sender a share of the price.
fn pumped(
    random: &mut Seeded,
    (country, price): (&'static str, f64),
    from: i64,
    pumping: &Pumping,
) -> Vec<Asked> {
    let sends = pumping.seconds * 1000 / pumping.every_millis;
    let send = |n: i64| {
        let line = if pumping.is_sequential {
            n.unsigned_abs()
        } else {
            random.below(10_000)
        };
        Asked {
            at: START + (from + n * pumping.every_millis / 1000),
            country,
            price,
            range: 100_000 + random.below(pumping.ranges),
            line: line % 10_000,
            client: u32::try_from(0xC600_0000 + random.below(pumping.clients)).expect("an address"),
            is_typed: false,
            is_pumped: true,
        }
    };
    (0..sends).map(send).collect()
}

/// One counter, as the table would keep it.
#[derive(Default)]
struct Counted {
    scope: Scope,
    samples: Vec<(Sample, bool)>,
}

impl Counted {
    fn judge(&mut self, rules: Rules, now: Timestamp) -> Verdict {
        if let Some(rule) = rules.conversion {
            let was_low = self.scope.outcomes.are_low(rule);
            let due: Vec<_> = self
                .samples
                .extract_if(.., |(sample, _)| sample.due() <= now)
                .collect();
            self.scope.outcomes.learn(
                due.iter()
                    .filter_map(|(sample, typed)| sample.outcome(Some(*typed), now)),
                rule,
            );
            if !was_low && self.scope.outcomes.are_low(rule) {
                self.scope.held = 0;
            }
        }
        let verdict = self.scope.judge(rules, now);
        self.scope.held += u32::from(verdict == Verdict::Held);
        verdict
    }

    fn take(&mut self, rules: Rules, asked: &Asked, verdict: Verdict) {
        if let Some(quota) = rules.quota {
            self.scope.window.moments.insert(0, asked.at);
            self.scope.window.moments.truncate(quota.blocks());
        }
        if rules.conversion.is_some() && self.samples.len() < SAMPLES_MAX {
            self.samples.push((
                Sample {
                    recipient: otp::domain::ids::RecordKey([0; 12]),
                    verification: otp::domain::ids::VerificationNonce([0; 4]),
                    at: asked.at,
                },
                asked.is_typed,
            ));
        }
        if verdict == Verdict::Chosen {
            self.scope.held -= HELD_ONE_IN - 1;
        }
    }
}

/// All limits of one app.
#[derive(Default)]
struct Guard {
    policy: Policy,
    recipients: HashMap<(&'static str, u64, u64), Recipient>,
    counted: HashMap<(&'static str, Vec<u8>), Counted>,
}

impl Guard {
    /// Whether a send goes out; it counts everywhere or nowhere.
    fn passes(&mut self, asked: &Asked) -> Result<(), Limit> {
        let now = asked.at;
        let recipient = self
            .recipients
            .entry((asked.country, asked.range, asked.line))
            .or_default();
        recipient
            .check_limits(&self.policy, now)
            .map_err(|limited| limited.limit)?;
        let conversion = self.policy.conversion_min;
        let client = IpAddr::V4(Ipv4Addr::from_bits(asked.client));
        let hourly = Quota {
            sends: self.policy.client_sends_per_hour,
            seconds: HOUR_SECONDS,
        };
        let of_prefix = [asked.country.as_bytes(), &asked.range.to_be_bytes()].concat();
        let counters = [
            (
                Limit::Country,
                asked.country.as_bytes().to_vec(),
                Rules {
                    quota: None,
                    conversion,
                },
            ),
            (
                Limit::Client,
                rate_limit::client_network(client),
                Rules {
                    quota: Some(hourly),
                    conversion: None,
                },
            ),
            (
                Limit::Prefix,
                of_prefix,
                Rules {
                    quota: Some(self.policy.prefix_sends),
                    conversion,
                },
            ),
        ];
        let mut verdicts = vec![];
        for (limit, key, rules) in &counters {
            let verdict = self
                .counted
                .entry((limit.name(), key.clone()))
                .or_default()
                .judge(*rules, now);
            if verdict.until(now).is_some() {
                return Err(*limit);
            }
            verdicts.push(verdict);
        }
        for ((limit, key, rules), verdict) in counters.into_iter().zip(verdicts) {
            self.counted
                .entry((limit.name(), key))
                .or_default()
                .take(rules, asked, verdict);
        }
        if let Some(recipient) = self
            .recipients
            .get_mut(&(asked.country, asked.range, asked.line))
        {
            recipient.sends.push(now);
            recipient.prune(now);
        }
        Ok(())
    }
}

/// What became of some traffic.
#[derive(Default)]
struct Outcome {
    asked: usize,
    refused_people: usize,
    people: usize,
    /// Texts to pumped numbers that went out, and when.
    pumped: Vec<(u64, Timestamp)>,
    lost_without: f64,
    lost_with: f64,
    blocked_after: Option<i64>,
}

impl Outcome {
    fn of(mut traffic: Vec<Asked>) -> Self {
        traffic.sort_by_key(|asked| asked.at);
        let (mut guard, mut outcome) = (
            Guard::default(),
            Self {
                asked: traffic.len(),
                ..Self::default()
            },
        );
        let mut began = None;
        for asked in &traffic {
            let passed = guard.passes(asked);
            if asked.is_pumped {
                let began = *began.get_or_insert(asked.at);
                outcome.lost_without += asked.price;
                match passed {
                    Ok(()) => {
                        outcome.lost_with += asked.price;
                        outcome.pumped.push((asked.range, asked.at));
                    }
                    Err(_) => drop(
                        outcome
                            .blocked_after
                            .get_or_insert(asked.at.seconds_since(began)),
                    ),
                }
            } else {
                outcome.people += 1;
                let beyond_their_own = matches!(
                    passed,
                    Err(Limit::Client | Limit::Prefix | Limit::Country | Limit::Spend)
                );
                outcome.refused_people += usize::from(beyond_their_own);
            }
        }
        outcome
    }

    fn false_refusals(&self) -> f64 {
        self.refused_people as f64 / self.people.max(1) as f64
    }

    /// How much of the loss is left.
    fn loss_left(&self) -> f64 {
        if self.lost_without > 0.0 {
            self.lost_with / self.lost_without
        } else {
            0.0
        }
    }

    /// Most texts to one range in any ten minutes.
    fn texts_in_ten_minutes(&self) -> usize {
        let within = |(range, from): &(u64, Timestamp)| {
            self.pumped
                .iter()
                .filter(|(other, at)| {
                    other == range && *at >= *from && at.seconds_since(*from) < 600
                })
                .count()
        };
        self.pumped.iter().map(within).max().unwrap_or(0)
    }
}

const MINUTE_MILLIS: i64 = 60_000;

fn one_range() -> Vec<(&'static str, Pumping)> {
    let pumping = |is_sequential, seconds, every_millis, clients| Pumping {
        ranges: 1,
        is_sequential,
        seconds,
        every_millis,
        clients,
    };
    vec![
        (
            "one range, in order, fast",
            pumping(true, 2 * HOUR_SECONDS, 1000, 1),
        ),
        (
            "one range, in order, fast, clients rotate",
            pumping(true, 2 * HOUR_SECONDS, 1000, 1 << 20),
        ),
        (
            "one range, at random, fast, clients rotate",
            pumping(false, 2 * HOUR_SECONDS, 1000, 1 << 20),
        ),
        (
            "one range, in order, slow, clients rotate",
            pumping(true, DAY_SECONDS, MINUTE_MILLIS / 3, 1 << 20),
        ),
    ]
}

fn many_ranges() -> Vec<(&'static str, Pumping)> {
    let pumping = |is_sequential, seconds, every_millis, clients| Pumping {
        ranges: 500,
        is_sequential,
        seconds,
        every_millis,
        clients,
    };
    vec![
        (
            "many ranges, fast",
            pumping(false, DAY_SECONDS / 2, 2000, 1),
        ),
        (
            "many ranges, fast, clients rotate",
            pumping(false, DAY_SECONDS / 2, 2000, 1 << 20),
        ),
        (
            "many ranges, in order, fast, clients rotate",
            pumping(true, DAY_SECONDS / 2, 2000, 1 << 20),
        ),
        (
            "many ranges, slow, clients rotate",
            pumping(false, 2 * DAY_SECONDS, MINUTE_MILLIS, 1 << 20),
        ),
    ]
}

fn normal(random: &mut Seeded) -> Vec<(&'static str, Vec<Asked>)> {
    let days = people(random, HOME, 0, 3 * DAY_SECONDS, 18_000);
    let abroad = people(random, AWAY, 0, 14 * DAY_SECONDS, 1_500);
    let quiet = people(random, HOME, 0, 2 * DAY_SECONDS, 6_000);
    let launch = people(random, HOME, DAY_SECONDS, HOUR_SECONDS, 20_000);
    vec![
        ("three normal days", days),
        ("two weeks in a country with few users", abroad),
        (
            "a launch: twenty thousand in an hour",
            [quiet, launch].concat(),
        ),
    ]
}

/// Texts are accepted and lost for some minutes.
fn outage(random: &mut Seeded, minutes: i64) -> Vec<Asked> {
    let mut traffic = people(random, HOME, 0, DAY_SECONDS, 12_000);
    let begins = START + (DAY_SECONDS / 2);
    for asked in &mut traffic {
        let is_lost = asked.at >= begins && asked.at < begins + (minutes * 60);
        asked.is_typed &= !is_lost;
    }
    traffic
}

/// Pumping beside the few users that the app has in the country.
fn beside_few(random: &mut Seeded, pumping: &Pumping) -> Vec<Asked> {
    let users = people(random, AWAY, 0, 3 * DAY_SECONDS, 150);
    [users, pumped(random, AWAY, HOUR_SECONDS, pumping)].concat()
}

const SEEDS: [u64; 3] = [1, 20_261_121, 0xDEAD_BEEF];

#[test]
fn pumping_over_one_range_gets_at_most_twenty_texts_in_ten_minutes() {
    for seed in SEEDS {
        for (name, pumping) in one_range() {
            let outcome = Outcome::of(beside_few(&mut Seeded(seed), &pumping));
            assert!(
                outcome.texts_in_ten_minutes() <= 20,
                "{name}, seed {seed}: {}",
                outcome.texts_in_ten_minutes()
            );
        }
    }
}

#[test]
fn pumping_over_many_ranges_of_a_country_loses_less_than_a_tenth_of_what_it_would() {
    for seed in SEEDS {
        for (name, pumping) in many_ranges() {
            let outcome = Outcome::of(beside_few(&mut Seeded(seed), &pumping));
            assert!(
                outcome.loss_left() <= 0.1,
                "{name}, seed {seed}: {:.3} of the loss is left",
                outcome.loss_left()
            );
        }
    }
}

#[test]
fn fewer_than_one_in_a_thousand_of_normal_sends_is_refused() {
    for seed in SEEDS {
        for (name, traffic) in normal(&mut Seeded(seed)) {
            let outcome = Outcome::of(traffic);
            assert!(
                outcome.false_refusals() < 0.001,
                "{name}, seed {seed}: {} of {}",
                outcome.refused_people,
                outcome.people
            );
        }
    }
}

#[test]
fn a_short_outage_holds_nobody_back() {
    for seed in SEEDS {
        let outcome = Outcome::of(outage(&mut Seeded(seed), 5));
        assert!(
            outcome.false_refusals() < 0.001,
            "seed {seed}: {} of {}",
            outcome.refused_people,
            outcome.people
        );
    }
}

#[test]
fn the_report() {
    let mut random = Seeded(SEEDS[0]);
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
        pumped(&mut random, HOME, 0, &pumping),
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
            100.0 * outcome.false_refusals(),
        );
        let block = outcome
            .blocked_after
            .map_or("-".to_owned(), |seconds| seconds.to_string());
        println!(
            "{name:46} {:>8} {:>12.2} {:>12.2} {left:>7.1}% {refused:>9.3}% {block:>9}",
            outcome.asked, outcome.lost_without, outcome.lost_with
        );
    }
}
