//! Carriers: each kind against a stand-in for its vendor, on a port of its own. `signed`,
//! `unsigned` and `aws` describe the vendors as their documentation does; `all_vendors` has the
//! tests that every vendor must pass.

mod account_faults;
mod all_vendors;
mod aws;
mod base_path;
mod aws_response_tables;
mod feedback;
mod more_channels;
mod polling;
mod push;
mod report_formats;
mod response_classes;
mod response_tables;
mod senders;
mod setup;
mod shared_account;
mod signed;
mod slow_responses;
mod unsigned;
mod unsigned_response_tables;
mod vendor;

use vendor::Vendor;

fn vendors() -> Vec<Vendor> {
    [unsigned::vendors(), signed::vendors(), aws::vendors()]
        .into_iter()
        .flatten()
        .collect()
}
