//! A delivery as a map within the item of its recipient.

use aws_sdk_dynamodb::types::AttributeValue;

use super::attributes::{Item, number, number_value, optional_text, text};
use super::recipient_codec::{channel_from_number, channel_number};
use crate::domain::delivery::{Cause, Delivery, DeliveryStatus, EarlyReport, ReportedStatus};
use crate::domain::ids::DeliveryTag;
use crate::domain::time::Timestamp;

const DELIVERY_NUMBER: &str = "number";
pub(super) const DELIVERY_STATUS: &str = "status";
const DELIVERY_CARRIER: &str = "carrier";
const DELIVERY_UPDATED_AT: &str = "updated_at";
const DELIVERY_PARTS: &str = "parts";
const DELIVERY_VENDOR_ID: &str = "vendor_id";
const DELIVERY_EARLY_CARRIER: &str = "early_carrier";
const DELIVERY_EARLY_STATUS: &str = "early_status";
const DELIVERY_EARLY_ACCOUNT_FAULT: &str = "early_account_fault";
const DELIVERY_ACCOUNT_FAULT: &str = "account_fault";
const DELIVERY_CHANNEL: &str = "channel";
const DELIVERY_CAUSE: &str = "cause";

/// One delivery as a map.
pub(super) fn write_delivery(delivery: &Delivery) -> AttributeValue {
    let mut map = Item::from([
        (DELIVERY_NUMBER.into(), number_value(delivery.number)),
        (
            DELIVERY_STATUS.into(),
            number_value(delivery.status.number()),
        ),
        (
            DELIVERY_CHANNEL.into(),
            number_value(channel_number(delivery.channel)),
        ),
        (
            DELIVERY_UPDATED_AT.into(),
            number_value(delivery.updated_at.0),
        ),
    ]);
    if delivery.cause != Cause::Requested {
        map.insert(DELIVERY_CAUSE.into(), number_value(delivery.cause.number()));
    }
    if let Some(carrier) = &delivery.carrier {
        map.insert(DELIVERY_CARRIER.into(), text(carrier));
    }
    if let Some(parts) = delivery.parts {
        map.insert(DELIVERY_PARTS.into(), number_value(parts));
    }
    if let Some(vendor_id) = &delivery.vendor_id {
        map.insert(DELIVERY_VENDOR_ID.into(), text(vendor_id));
    }
    if let Some(early) = &delivery.early_report {
        map.insert(DELIVERY_EARLY_CARRIER.into(), text(&early.carrier));
        map.insert(
            DELIVERY_EARLY_STATUS.into(),
            number_value(early.reported.status.number()),
        );
        if early.reported.is_account_fault {
            map.insert(DELIVERY_EARLY_ACCOUNT_FAULT.into(), number_value(1));
        }
    }
    if delivery.is_account_fault {
        map.insert(DELIVERY_ACCOUNT_FAULT.into(), number_value(1));
    }
    AttributeValue::M(map)
}

/// Reads the map under `tag`.
pub(super) fn read_delivery(tag: &str, map: &Item) -> Option<Delivery> {
    let small = |name: &str| u8::try_from(number(map, name)).ok();
    let tag = data_encoding::HEXLOWER.decode(tag.as_bytes()).ok()?;
    Some(Delivery {
        tag: DeliveryTag(tag.try_into().ok()?),
        number: u16::try_from(number(map, DELIVERY_NUMBER)).ok()?,
        channel: channel_from_number(small(DELIVERY_CHANNEL)?)?,
        status: DeliveryStatus::try_from(small(DELIVERY_STATUS)?).ok()?,
        carrier: optional_text(map, DELIVERY_CARRIER),
        cause: Cause::try_from(small(DELIVERY_CAUSE)?).ok()?,
        updated_at: Timestamp(number(map, DELIVERY_UPDATED_AT)),
        parts: small(DELIVERY_PARTS).filter(|parts| *parts > 0),
        vendor_id: optional_text(map, DELIVERY_VENDOR_ID),
        early_report: optional_text(map, DELIVERY_EARLY_CARRIER).and_then(|carrier| {
            let reported = ReportedStatus {
                status: DeliveryStatus::try_from(small(DELIVERY_EARLY_STATUS)?).ok()?,
                is_account_fault: number(map, DELIVERY_EARLY_ACCOUNT_FAULT) != 0,
            };
            Some(EarlyReport { carrier, reported })
        }),
        is_account_fault: number(map, DELIVERY_ACCOUNT_FAULT) != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::Channel;

    const TAG: DeliveryTag = DeliveryTag([1, 2, 3, 4]);

    fn read_back(delivery: &Delivery) -> Option<Delivery> {
        let AttributeValue::M(map) = write_delivery(delivery) else {
            panic!("not a map");
        };
        read_delivery(&TAG.to_string(), &map)
    }

    fn plain(status: DeliveryStatus) -> Delivery {
        Delivery {
            tag: TAG,
            number: 2,
            channel: Channel::Voice,
            status,
            carrier: None,
            cause: Cause::Requested,
            updated_at: Timestamp(1000),
            parts: None,
            vendor_id: None,
            early_report: None,
            is_account_fault: false,
        }
    }

    #[test]
    fn delivery_is_read_back_as_written() {
        for status in DeliveryStatus::ALL {
            let plain = plain(status);
            assert_eq!(read_back(&plain), Some(plain.clone()));
            for is_account_fault in [true, false] {
                let full = Delivery {
                    carrier: Some("sim-a".into()),
                    cause: Cause::Fallback,
                    parts: Some(1),
                    vendor_id: Some("307".into()),
                    early_report: Some(EarlyReport {
                        carrier: "sim-b".into(),
                        reported: ReportedStatus {
                            status,
                            is_account_fault,
                        },
                    }),
                    is_account_fault: !is_account_fault,
                    ..plain.clone()
                };
                assert_eq!(read_back(&full), Some(full));
            }
        }
    }

    #[test]
    fn delivery_without_options_has_four_attributes() {
        let AttributeValue::M(map) = write_delivery(&plain(DeliveryStatus::Queued)) else {
            panic!("not a map");
        };
        let mut names: Vec<_> = map.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["channel", "number", "status", "updated_at"]);
    }
}
