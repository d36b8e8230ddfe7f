//! Traffic from a seed: normal days, a launch, an outage, and several kinds of SMS pumping.

use otp::domain::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};

pub const START: Timestamp = Timestamp(1_795_219_200);
/// A country with many users and one with few, and the price of a text there.
pub const HOME: (&str, f64) = ("FR", 0.045);
pub const AWAY: (&str, f64) = ("LV", 0.09);
/// How many ranges of ten thousand numbers the users of a country have.
pub const RANGES: u64 = 9000;

/// SplitMix64: one seed always generates the same traffic.
pub struct SeededRandom(pub u64);

impl SeededRandom {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A requested send.
#[derive(Clone)]
pub struct TrafficSend {
    pub at: Timestamp,
    pub country: &'static str,
    pub price: f64,
    /// Range and number within it.
    pub range: u64,
    pub line: u64,
    pub client: u32,
    /// Whether the user types the code if it arrives.
    pub is_typed: bool,
    pub is_pumped: bool,
}

/// Sends of users: most type the code, some request it twice, a few give up. A third share the
/// addresses of mobile networks.
pub fn people(
    random: &mut SeededRandom,
    (country, price): (&'static str, f64),
    from: i64,
    seconds: i64,
    sends: u64,
) -> Vec<TrafficSend> {
    let mut send = vec![];
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
        let person = TrafficSend {
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
            send.push(TrafficSend {
                at: at + later,
                ..person.clone()
            });
        }
        send.push(person);
    }
    send
}

/// A kind of SMS pumping.
pub struct Pumping {
    ranges: u64,
    is_sequential: bool,
    seconds: i64,
    /// The time between two sends.
    every_millis: i64,
    clients: u64,
}

/// Sends to numbers that earn the attacker a share of the price of each text.
pub fn pumped_sends(
    random: &mut SeededRandom,
    (country, price): (&'static str, f64),
    from: i64,
    pumping: &Pumping,
) -> Vec<TrafficSend> {
    let sends = pumping.seconds * 1000 / pumping.every_millis;
    let send = |n: i64| {
        let line = if pumping.is_sequential {
            n.unsigned_abs()
        } else {
            random.below(10_000)
        };
        TrafficSend {
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

pub const MINUTE_MILLIS: i64 = 60_000;

pub fn one_range() -> Vec<(&'static str, Pumping)> {
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

pub fn many_ranges() -> Vec<(&'static str, Pumping)> {
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

pub fn normal(random: &mut SeededRandom) -> Vec<(&'static str, Vec<TrafficSend>)> {
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

/// A day on which carriers accept texts and lose them for some minutes.
pub fn outage(random: &mut SeededRandom, minutes: i64) -> Vec<TrafficSend> {
    let mut traffic = people(random, HOME, 0, DAY_SECONDS, 12_000);
    let begins = START + (DAY_SECONDS / 2);
    for send in &mut traffic {
        let is_lost = send.at >= begins && send.at < begins + (minutes * 60);
        send.is_typed &= !is_lost;
    }
    traffic
}

/// Pumping in a country where the app has few users.
pub fn beside_few(random: &mut SeededRandom, pumping: &Pumping) -> Vec<TrafficSend> {
    let users = people(random, AWAY, 0, 3 * DAY_SECONDS, 150);
    [users, pumped_sends(random, AWAY, HOUR_SECONDS, pumping)].concat()
}
