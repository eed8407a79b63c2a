//! The contract every store fulfils, as one suite of cases that runs over each back end. A new back end adds one
//! `contract_suite!`; a crate that includes this folder calls the module `cases`, at its root.

pub mod alerts;
pub mod approvals;
pub mod budgets;
pub mod concurrency;
pub mod control;
pub mod dump;
pub mod feed;
pub mod fixture;
pub mod holds;
pub mod locks;
pub mod notices;
pub mod retention;
pub mod runs;
pub mod runs_claims;
pub mod signals;

/// Makes a test of every case for one back end. The expression is awaited inside the test; it opens an empty store and
/// answers it with whatever has to live as long, such as a temporary folder.
macro_rules! contract_suite {
    ($name:ident, $open:expr) => {
        mod $name {
            crate::cases::contract_suite! { @cases $open;
                alerts {
                    a_delivery_is_kept_and_a_repeat_only_counts
                    an_unknown_alert_is_none
                    pending_alerts_come_oldest_first_up_to_the_limit
                    alerts_are_listed_newest_first_by_disposition_and_time
                    disposing_appends_and_may_be_repeated
                    disposing_refuses_what_does_not_follow
                    the_first_to_claim_a_key_wins_again_and_again
                    those_who_lose_a_key_are_counted_once_each
                    an_ended_claim_is_free_and_forgets_who_lost
                    alert_operations_refuse_another_partition
                }
                runs {
                    a_run_is_created_once
                    an_append_is_kept_and_updates_the_row
                    the_same_append_again_writes_nothing
                    an_append_refuses_gaps_conflicts_and_other_chains
                    a_refused_append_leaves_nothing
                    an_append_without_entries_updates_only_the_row
                    runs_are_listed_newest_first_and_filtered
                    a_journal_reads_from_any_place
                    run_operations_refuse_another_partition
                    run_operations_on_nothing_say_so
                }
                runs_claims {
                    due_runs_are_claimed_longest_due_first_up_to_the_limit
                    a_claim_in_force_keeps_others_out_until_it_ends
                    a_stale_epoch_is_fenced
                    a_claim_given_back_cannot_append
                    one_run_is_claimed_due_or_not
                    only_open_runs_are_claimed
                    a_worker_that_died_without_a_wake_leaves_a_run_that_is_due
                    a_wake_makes_due_sooner_never_later
                    a_wake_during_a_claim_outlasts_its_appends
                    a_repeated_append_does_not_undo_a_wake
                    a_worker_gives_all_its_claims_back
                    the_next_wake_is_when_something_can_be_claimed
                }
                approvals {
                    a_request_is_written_with_its_entries_and_replaced_by_later_ones
                    a_refused_append_writes_no_request
                    requests_are_listed_newest_first_and_filtered
                    a_vote_is_kept_once_and_wakes_its_run
                    a_vote_on_what_is_decided_is_not_kept
                    approval_operations_refuse_another_partition
                }
                signals {
                    a_signal_is_kept_once_and_wakes_its_run
                    a_signal_during_a_claim_outlasts_its_appends
                    a_signal_opens_a_parked_run
                    a_settled_run_takes_no_signal
                    signal_operations_refuse_another_partition
                }
                locks {
                    a_lock_is_one_effects_until_it_gives_it_back
                    giving_back_what_is_not_ours_does_nothing
                    held_locks_are_listed_by_target_and_partition
                    the_last_change_of_a_target_is_remembered
                    lock_operations_refuse_another_partition
                    what_comes_after_its_claim_changes_no_lock
                }
                holds {
                    the_first_hold_keeps_the_state_before_for_all
                    taking_again_answers_the_same_and_sets_the_end
                    only_the_last_end_restores
                    ending_is_repeated_until_dropped
                    a_hold_taken_while_the_last_one_ends
                    a_dropped_hold_is_gone_and_may_be_taken_anew
                    who_left_holds_again_when_the_last_share_is_given_up
                    a_restored_hold_brings_nobody_back
                    one_that_left_and_never_came_about_is_not_brought_back
                    due_holders_come_longest_over_first_with_their_tries
                    what_was_last_seen_is_kept
                    facets_are_held_apart
                    one_hold_is_found_without_the_others
                    what_a_run_has_taken_is_listed
                    hold_operations_refuse_another_partition
                    what_comes_after_its_claim_changes_no_hold
                }
                budgets {
                    a_budget_has_so_many_places_in_a_window
                    a_member_takes_one_place_however_often_it_asks
                    a_place_given_back_is_free
                    a_spent_budget_says_when_the_next_place_is_free
                    budgets_are_counted_apart
                    budget_operations_refuse_another_partition
                    many_race_for_the_places_of_a_budget
                }
                feed {
                    the_feed_has_every_entry_in_the_order_it_was_appended
                    feeds_of_partitions_are_apart
                    cursors_move_forward_only
                    a_follower_is_one_holders_until_its_claim_ends
                    counts_add_up
                    a_run_that_nothing_will_wake_is_counted_as_stuck
                    holds_are_counted_with_those_overdue
                    a_working_store_is_ready
                    a_store_says_how_it_stands
                }
                notices {
                    a_notice_is_kept_once
                    due_notices_come_longest_due_first_up_to_the_limit
                    a_group_has_one_that_leads
                    only_the_holder_of_the_claim_saves_and_all_or_none
                    notices_are_listed_newest_first_and_filtered
                    only_old_notices_that_are_done_are_forgotten
                    notices_are_counted_by_state_with_the_longest_due
                    notice_operations_refuse_another_partition
                }
                control {
                    the_halt_switch_stays_until_resumed
                    principals_are_replaced_by_name
                    bundles_are_kept_once_by_digest
                    secrets_are_replaced_by_handle
                }
                dump {
                    everything_goes_out_and_into_another_store_and_back
                    pages_of_any_size_give_the_same_records
                    an_empty_store_has_no_records
                    restoring_again_changes_nothing_and_something_else_is_refused
                    a_restored_run_goes_on_where_it_was
                    a_record_of_another_partition_or_with_a_torn_chain_is_refused
                    a_mark_stays_until_it_is_taken_away
                }
                retention {
                    old_runs_are_settled_ones_longest_ago_first
                    old_alerts_are_processed_ones_oldest_first
                    a_run_is_forgotten_whole_once_everybody_has_read_it
                    an_alert_is_forgotten_whole_once_everybody_has_read_it
                    what_is_not_over_is_not_forgotten
                    the_id_of_what_was_forgotten_starts_nothing
                    a_feed_goes_on_past_what_was_forgotten
                    claims_changes_and_ids_are_swept_by_their_age
                    bundles_are_forgotten_one_by_one
                }
                concurrency {
                    many_append_to_their_own_runs
                    many_claim_the_same_runs_and_each_goes_to_one
                    many_take_the_same_lock_and_one_has_it
                    many_deliver_the_same_alert_and_it_is_kept_once
                    many_race_one_append_and_all_but_one_find_it_there
                }
            }
        }
    };
    (@cases $open:expr; $($room:ident { $($case:ident)* })*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, _kept) = $open.await;
                crate::cases::$room::$case(store).await;
            }
        )*)*
    };
}
pub(crate) use contract_suite;
