//! Simulation of one guard: many instances, any rate of sends, a table in memory. It counts the
//! writes to each item, and compares the guard's decisions with the rule itself. The decisions are
//! those of the program (`state`, `cache`, `SampleShard`); the table is a model of its conditions.
//!
//! `cargo test -p otp --lib simulation -- --nocapture` prints the counts.

use std::collections::{HashMap, VecDeque};

use super::cache::{GuardCache, RememberedShard, SHARDS, slot};
use super::state::{Change, GuardState, HeldChange, News, SamplePlace, SamplesChange, Sharded};
use crate::domain::conversion::{
    Admission, ConversionHistory, ConversionRule, OUTCOME_AGE_SECONDS, Sample, SampleShard,
};
use crate::domain::ids::{RecordKey, VerificationNonce};
use crate::domain::time::Timestamp;
use crate::store::limits::reservation_id::ReservationId;

const START: Timestamp = Timestamp(1_795_291_200);
const KEY: RecordKey = RecordKey([7; 12]);
const RULE: ConversionRule = ConversionRule {
    percent: 10,
    window: 100,
};
/// A Lambda instance serves one send at a time: so many a second.
const SENDS_OF_AN_INSTANCE: f64 = 30.0;
const SHARD_ITEM_SAMPLES_MAX: usize = 40;
/// So many samples are 740 bytes.
const INLINE_SAMPLES_EVER: usize = 32;

/// An item: the guard's, or a shard of a minute.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum ItemName {
    Guard,
    Shard(i64, usize),
}

/// The table, and what is counted.
#[derive(Default)]
struct Table {
    guard: GuardState,
    shards: HashMap<(i64, usize), SampleShard>,
    writes: HashMap<(ItemName, i64), u32>,
    write_units: u32,
    read_units: f64,
}

struct Simulation {
    table: Table,
    instances: Vec<GuardCache>,
    random: u64,
    sends: u32,
    passed: u32,
}

impl Table {
    fn count_write(&mut self, item: ItemName, now: Timestamp) {
        self.write_units += 1;
        *self.writes.entry((item, now.0)).or_default() += 1;
    }

    /// Applies a write to the guard's item; `false` if its condition fails.
    fn write_guard(&mut self, change: &Change, sample: Sample, now: Timestamp) -> bool {
        self.count_write(ItemName::Guard, now);
        let held_allows = match change.held {
            HeldChange::Keep | HeldChange::Set(_) => true,
            HeldChange::Increment => self.guard.held < 99,
            HeldChange::LetThrough(_) => self.guard.held >= 99,
        };
        let samples_allow = match &change.samples {
            SamplesChange::Append => self.guard.can_append(RULE, now),
            SamplesChange::Keep { version } => self.guard.version == *version,
            SamplesChange::Replace(next) => {
                self.guard.version == next.version
                    && self.guard.samples_stored == next.samples_stored
            }
        };
        if !held_allows || !samples_allow {
            return false;
        }
        match &change.samples {
            SamplesChange::Append => self.guard.samples.push(sample),
            SamplesChange::Keep { .. } => {}
            SamplesChange::Replace(next) => {
                let held = (
                    self.guard.held,
                    self.guard.let_through,
                    self.guard.drawn_until,
                );
                self.guard = (**next).clone();
                (
                    self.guard.held,
                    self.guard.let_through,
                    self.guard.drawn_until,
                ) = held;
                self.guard.version += 1;
                self.guard.learn_at = next.next_learn_at(RULE, now);
            }
        }
        self.guard.samples_stored = self.guard.samples.len();
        assert!(self.guard.samples.len() <= INLINE_SAMPLES_EVER, "1 KiB");
        match change.held {
            HeldChange::Keep => {}
            HeldChange::Set(held) => self.guard.held = held,
            HeldChange::Increment => self.guard.held += 1,
            HeldChange::LetThrough(count) => {
                self.guard.held -= 99;
                self.guard.let_through = Some(ReservationId::new(RecordKey([7; 12]), now));
                self.guard.let_through_count = count;
                self.guard.drawn_until = (count >= 4).then(|| now + 30).or(self.guard.drawn_until);
            }
        }
        true
    }

    /// What `learn` does.
    fn learn(&mut self, state: &GuardState, now: Timestamp) -> GuardState {
        let learnable = now - OUTCOME_AGE_SECONDS;
        let mut next = state.clone();
        let mut due: Vec<Sample> = next
            .samples
            .extract_if(.., |sample| sample.at <= learnable)
            .collect();
        if let Some(sharded) = state.sharded.filter(|sharded| sharded.from <= learnable) {
            let until = sharded.until.min(learnable);
            for slot in slot(sharded.from)..=slot(until) {
                for number in 0..SHARDS {
                    self.read_units += 0.5;
                    let shard = self.shards.get(&(slot, number));
                    let samples = shard.iter().flat_map(|shard| &shard.samples);
                    due.extend(samples.filter(|s| (sharded.from..=until).contains(&s.at)));
                }
            }
            next.sharded = (until < sharded.until).then(|| Sharded {
                from: until + 1,
                until: sharded.until,
            });
        }
        next.learned_at = next.sharded.map(|_| now);
        due.sort_by_key(|sample| sample.at);
        due.drain(..due.len().saturating_sub(RULE.window as usize));
        self.read_units += 0.5 * due.len() as f64;
        let outcomes = due.iter().map(|sample| sample.verification.0[3] % 2 == 1);
        next.history.learn(outcomes.collect::<Vec<_>>(), RULE);
        next
    }

    /// What `add_to_shard` does.
    fn add_to_shard(&mut self, cache: &GuardCache, mut seen: RememberedShard, sample: Sample) {
        let now = sample.at;
        loop {
            let admission = seen.shard.admit(sample);
            if admission == Admission::Skip {
                return;
            }
            self.count_write(ItemName::Shard(seen.slot, seen.number), now);
            let stored = self.shards.entry((seen.slot, seen.number)).or_default();
            let is_written = match admission {
                Admission::Append
                    if stored.min_level <= sample.level()
                        && stored.samples.len() < SHARD_ITEM_SAMPLES_MAX =>
                {
                    stored.samples.push(sample);
                    true
                }
                Admission::Replace(next) if *stored == seen.shard => {
                    *stored = next;
                    true
                }
                _ => false,
            };
            assert!(stored.samples.len() <= SHARD_ITEM_SAMPLES_MAX, "1 KiB");
            seen.shard = stored.clone();
            cache.remember_shard(KEY, &seen);
            if is_written {
                return;
            }
        }
    }
}

impl Simulation {
    fn new(rate: f64) -> Self {
        let instances = (rate / SENDS_OF_AN_INSTANCE).ceil().max(3.0) as usize;
        Self {
            table: Table::default(),
            instances: (0..instances).map(|_| GuardCache::default()).collect(),
            random: 42,
            sends: 0,
            passed: 0,
        }
    }

    /// SplitMix64.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Sends at this rate from second `from` to second `to`.
    fn run(&mut self, rate: f64, (from, to): (i64, i64), approved_percent: u64) {
        let count = ((to - from) as f64 * rate) as u64;
        for n in 0..count {
            let now = START + (from + (n as f64 / rate) as i64);
            let approved = self.next_random() % 100 < approved_percent;
            self.send(now, approved);
        }
    }

    fn send(&mut self, now: Timestamp, approved: bool) -> bool {
        // The last bit says whether the verification is approved.
        let nonce = (self.next_random() as u32) & !1 | u32::from(approved);
        let sample = Sample {
            recipient: KEY,
            verification: VerificationNonce(nonce.to_be_bytes()),
            at: now,
            salt: [0; 2],
        };
        let instance = self.next_random() as usize % self.instances.len();
        let passes = decide(&self.instances[instance], &mut self.table, sample);
        self.sends += 1;
        self.passed += u32::from(passes);
        passes
    }

    /// Most writes of any item in a second.
    fn hottest(&self) -> u32 {
        self.table.writes.values().copied().max().unwrap_or(0)
    }

    fn units_per_send(&self) -> f64 {
        f64::from(self.table.write_units) / f64::from(self.sends)
    }
}

/// What `GuardedSend` does.
fn decide(cache: &GuardCache, table: &mut Table, sample: Sample) -> bool {
    let now = sample.at;
    let shard = cache.next_shard(KEY, now);
    let is_sample = shard.shard.admit(sample) != Admission::Skip;
    let mut state = cache.state(KEY).unwrap_or_default();
    let mut is_current = false;
    let mut is_fresh = cache
        .seen_at(KEY)
        .is_some_and(|at| now.seconds_since(at) <= 5);
    loop {
        let is_due = (is_sample || !state.is_sharded(now)) && state.is_due(RULE, now);
        let mut news = News::Nothing;
        let mut known = state.clone();
        if is_due && is_current {
            let was_low = state.is_low(RULE);
            known = table.learn(&state, now);
            news = match known.is_low(RULE) && !was_low {
                true => News::BecameLow,
                false => News::Outcomes,
            };
        }
        let plan = known.plan(RULE, sample, news, now);
        let replaces = is_due || plan.replaces_samples();
        let must_read = (replaces && !is_current) || (plan.change.is_none() && !is_fresh);
        let is_written = !must_read
            && match &plan.change {
                Some(change) => table.write_guard(change, sample, now),
                None => true,
            };
        if must_read {
            table.read_units += 0.5;
        }
        if must_read || plan.change.is_some() {
            state = table.guard.clone();
            cache.remember(KEY, &state, now);
            (is_current, is_fresh) = (true, true);
        }
        if is_written {
            if plan.place == SamplePlace::Shards && is_sample {
                table.add_to_shard(cache, shard, sample);
            }
            return plan.passes;
        }
    }
}

#[test]
fn country_costs_little_at_any_rate() {
    println!("sends/s  instances  writes/send  reads/send  hottest item, writes/s");
    // Up to two sends a second, an append fails now and then because another instance has filled
    // the item.
    for (rate, seconds, units_max) in [
        (0.01, 200_000, 1.005),
        (0.1, 20_000, 1.005),
        (1.0, 4_000, 1.005),
        (2.0, 2_500, 1.005),
        (5.0, 1_500, 0.9),
        (10.0, 1_500, 0.8),
        (30.0, 1_500, 0.5),
        (100.0, 1_000, 0.3),
        (1_000.0, 640, 0.05),
        (2_000.0, 640, 0.03),
        (5_000.0, 120, 0.03),
    ] {
        let mut simulation = Simulation::new(rate);
        simulation.run(rate, (0, seconds), 80);
        println!(
            "{rate:7} {:10} {:12.3} {:11.3} {:23}",
            simulation.instances.len(),
            simulation.units_per_send(),
            simulation.table.read_units / f64::from(simulation.sends),
            simulation.hottest(),
        );
        assert_eq!(
            simulation.passed, simulation.sends,
            "{rate}: all are approved"
        );
        assert!(simulation.units_per_send() <= units_max, "{rate} a second");
        assert!(simulation.hottest() <= 1_000, "{rate} a second");
    }
}

#[test]
fn held_sends_cost_little_at_any_rate() {
    println!("held sends/s  writes/send  hottest item, writes/s  let through");
    for rate in [1.0, 10.0, 100.0, 2_000.0, 5_000.0] {
        let mut simulation = Simulation::new(rate);
        simulation.run(10.0, (0, 700), 0);
        (simulation.sends, simulation.passed) = (0, 0);
        simulation.table.write_units = 0;
        simulation.table.writes.clear();
        simulation.run(rate, (700, 1_000), 0);
        let share = f64::from(simulation.passed) / f64::from(simulation.sends);
        println!(
            "{rate:12} {:12.3} {:23} {:11.4}",
            simulation.units_per_send(),
            simulation.hottest(),
            share
        );
        assert!((0.005..=0.015).contains(&share), "{rate}: {share}");
        assert!(simulation.units_per_send() <= 1.03, "{rate} a second");
        assert!(simulation.hottest() <= 1_000, "{rate} a second");
    }
}

#[test]
fn low_rates_are_decided_exactly() {
    // One send a second or less, with every share of approved sends: as the rule says.
    for (seed, gap) in [(1, 1), (2, 3), (3, 7), (4, 40)] {
        let mut simulation = Simulation::new(1.0);
        simulation.random = seed;
        let (mut sent, mut lag) = (VecDeque::<(Timestamp, bool)>::new(), 0);
        let mut history = ConversionHistory::default();
        let mut differs = 0;
        for n in 0..6_000 {
            let now = START + n * gap;
            let share = [80, 12, 5, 30, 9, 60][(n / 1_000) as usize];
            let approved = simulation.next_random() % 100 < share;
            while let Some((_, outcome)) =
                sent.pop_front_if(|(at, _)| now.seconds_since(*at) >= OUTCOME_AGE_SECONDS)
            {
                history.learn([outcome], RULE);
            }
            let passes = simulation.send(now, approved);
            if passes {
                sent.push_back((now, approved));
            }
            // Samples in shards wait for half a minute.
            let agrees = passes != history.is_low(RULE);
            lag = if agrees { 0 } else { lag + 1 };
            differs = differs.max(lag);
        }
        assert!(differs <= 1 + 31 / gap, "{gap} s apart: {differs} sends");
    }
}

#[test]
fn burst_fills_the_sample_of_its_own_minutes_only() {
    for burst in [100, 10_000, 100_000] {
        let rate = f64::from(burst) / 5.0;
        let mut simulation = Simulation::new(rate);
        simulation.run(rate, (0, 5), 0);
        simulation.run(1.0, (65, 365), 100);
        let passed = simulation.passed;
        assert_eq!(passed, simulation.sends);
        // The burst is over ten minutes old, and then the honest sends are.
        for from in [900, 1_000] {
            simulation.run(1.0, (from, from + 100), 100);
        }
        assert_eq!(
            simulation.passed, simulation.sends,
            "{burst} in five seconds"
        );
    }
}
