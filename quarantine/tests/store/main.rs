//! The store of kept copies: what is promised is there, whole and once; the same in every place that a store can be in.
#![allow(clippy::unwrap_used)]

mod addresses;
mod full_disk;
mod keeping;
mod listing;
mod many;
mod retention;
mod support;
mod unconfirmed;

/// What holds wherever the store is.
macro_rules! everywhere {
    ($($subject:ident::$fact:ident,)*) => {
        mod in_a_folder {
            $(#[tokio::test]
            async fn $fact() {
                crate::$subject::$fact(&crate::support::Place::folder()).await;
            })*
        }

        mod in_memory {
            $(#[tokio::test]
            async fn $fact() {
                crate::$subject::$fact(&crate::support::Place::memory()).await;
            })*
        }

        /// One server for all: each fact has a prefix of its own.
        #[tokio::test]
        async fn all_of_it_holds_in_a_bucket_of_a_real_server() {
            let server = millrace_tests::s3::S3::start();
            $(
                eprintln!("{}", stringify!($fact));
                let place = crate::support::Place::bucket(&server, stringify!($fact));
                crate::$subject::$fact(&place).await;
            )*
        }
    };
}

everywhere! {
    keeping::a_message_comes_back_whole_and_byte_for_byte,
    keeping::calls_for_one_message_end_in_one_copy,
    keeping::a_message_that_comes_again_after_days_does_not_expire_with_its_first_copy,
    keeping::what_is_deleted_is_gone_and_told_in_the_audit_log,
    keeping::a_copy_that_was_cut_off_is_not_taken_for_one,
    keeping::an_index_that_was_lost_is_made_again,
    listing::a_listing_tells_what_was_promised_and_what_was_done,
    listing::listings_are_filtered_and_come_in_pages,
    retention::copies_expire_by_age_number_and_size,
    retention::clients_have_limits_of_their_own,
    retention::recipient_domains_have_an_age_of_their_own,
    retention::one_process_expires_at_a_time_and_one_that_died_blocks_nobody,
    retention::a_copy_that_was_just_promised_again_does_not_expire,
    retention::a_deletion_that_broke_off_is_ended,
    unconfirmed::a_settlement_that_another_process_gets_is_not_lost,
    unconfirmed::copies_whose_process_died_are_swept,
    unconfirmed::a_record_that_cannot_be_read_is_made_again,
    unconfirmed::a_release_and_a_settlement_at_once_are_both_noted,
    unconfirmed::a_store_that_lost_what_it_acknowledged_is_found_out,
    unconfirmed::many_calls_at_once_from_two_processes_end_in_one_copy,
}
