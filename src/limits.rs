//! Every bound of the program, with its unit and its reason. A loop, queue, body, retry or wait without a
//! line here has no bound, which is a defect.

/// Largest body of one delivery, bytes. The largest alert seen in the field is a Dependabot one of about
/// 300 KiB; a batch of a hundred findings fits.
pub const ALERT_BODY_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of a delivery's JSON. Real alerts stay below 20.
pub const JSON_DEPTH_MAX: usize = 64;
/// Most values (members, elements, scalars) in one delivery's JSON.
pub const JSON_NODES_MAX: usize = 50_000;
/// Most findings one delivery is split into.
pub const FINDINGS_PER_ALERT_MAX: usize = 500;
/// Most entities one finding keeps; the rest is counted in `entities_left_out`.
pub const ENTITIES_PER_FINDING_MAX: usize = 1_000;
/// Longest name, title or id taken from an alert, characters.
pub const ALERT_TEXT_CHARS_MAX: usize = 1_024;
/// How long a client may take to send one request, ms (against slow senders that hold connections).
pub const REQUEST_READ_MS: u64 = 10_000;
/// How far a signed timestamp may be from now, ms (Standard Webhooks libraries use five minutes).
pub const SIGNATURE_AGE_MS: u64 = 300_000;
/// How old a message of SNS may be, ms: a delivery policy repeats for an hour at most; as much again for clocks and
/// queues. Within it a repeat is known by its id.
pub const SNS_AGE_MS: u64 = 2 * 3_600_000;
/// Time of one fetch that no connector stands for, ms: SNS waits 15 s for our answer, and one fetch is part of it.
pub const FETCH_MS: u64 = 5_000;
/// Largest document fetched so, bytes. A certificate with its chain has about 8 KiB.
pub const FETCH_BYTES_MAX: usize = 64 << 10;
/// Most look-ups of one delivery. A secret-scanning alert takes one, or two.
pub const LOOKUPS_PER_ALERT_MAX: usize = 8;
/// Look-ups of sources under way at once, so that a vendor that hangs does not hold up alerts that need none.
pub const LOOKUPS_AT_ONCE: usize = 8;
/// How long an alert waits for a look-up while the vendor is down, ms; then it goes on without, and says so.
pub const LOOKUP_WAIT_MS: u64 = 15 * 60_000;
/// First pause before an alert that waits is looked at again, ms; doubled each time.
pub const LOOKUP_PAUSE_MS: u64 = 1_000;
/// Longest such pause, ms.
pub const LOOKUP_PAUSE_MS_MAX: u64 = 60_000;
/// Longest challenge that is answered, characters. Okta's have 32.
pub const CHALLENGE_CHARS_MAX: usize = 1_024;
/// How long a finding key is remembered, ms. Sources may override.
pub const FINDING_WINDOW_MS: u64 = 7 * 24 * 3_600_000;

/// Largest playbook or action script, bytes.
pub const SCRIPT_BYTES_MAX: usize = 64 << 10;
/// Most lines of a playbook together with its library: the language counts lines in 16 bits.
pub const SCRIPT_LINES_MAX: usize = 60_000;
/// Stack of one evaluation thread, bytes: virtual, costs nothing until touched. With `SCRIPT_STACK_RESERVE`
/// it holds the deepest value that the size limits allow (measured, docs/decisions/0003).
pub const SCRIPT_STACK_BYTES: usize = 64 << 20;
/// A script ends cleanly when less than this is left of its stack, bytes.
pub const SCRIPT_STACK_RESERVE: usize = 48 << 20;
/// Most operations of one evaluation, counted by Rhai and again by us (callbacks escape Rhai's count).
pub const SCRIPT_OPERATIONS_MAX: u64 = 1_000_000;
/// CPU deadline of one evaluation, ms.
pub const SCRIPT_DEADLINE_MS: u64 = 2_000;
/// Longest string a script may build, bytes.
pub const SCRIPT_STRING_BYTES_MAX: usize = 256 << 10;
/// Longest array and largest map a script may build.
pub const SCRIPT_ARRAY_MAX: usize = 10_000;
/// Deepest call of script functions.
pub const SCRIPT_CALLS_MAX: usize = 64;
/// Branches of one `all` or `each` that have unanswered asks at once.
pub const BRANCHES_AT_ONCE: usize = 64;
/// How deep `all`, `attempt` and `each` may stand in one another.
pub const BRANCH_DEPTH_MAX: usize = 3;
/// Most asks one run may make, so that a loop that asks without end comes to an end.
pub const ASKS_PER_RUN_MAX: usize = 20_000;
/// Most runs one run may start with `run_playbook`: each is a run of its own, with a journal and a place in lists.
pub const CHILDREN_PER_RUN_MAX: usize = 1_000;
/// How deep playbooks may start one another, so that whoever reads a run still knows where it came from.
pub const CHILD_DEPTH_MAX: usize = 3;
/// How often a run that waits for another looks whether that is over, ms. Its end wakes it at once; this is for the
/// crash just between the two.
pub const CHILD_LOOK_MS: u64 = 15_000;
/// The same while the run has other work in hand and is not woken, ms.
pub const CHILD_GLANCE_MS: u64 = 500;
/// Most bytes all asks and tells of one evaluation may carry, so that a script cannot fill the memory with
/// copies of its finding.
pub const ASKED_BYTES_PER_RUN_MAX: usize = 32 << 20;
/// Evaluations that may wait for a thread; more are answered `Busy`.
pub const SCRIPT_QUEUE_MAX: usize = 4_096;
/// Largest answer kept for a script, bytes.
pub const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Most journal appends that share one commit.
pub const GROUP_COMMIT_MAX: usize = 512;
/// Writers that may wait for the store before it answers `busy` (intake then says 503).
pub const STORE_QUEUE_MAX: usize = 4_096;
/// Largest payload of one journal entry, bytes.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;

/// Most steps a plan walks. Larger ones are read by nobody.
pub const PLAN_ASKS_MAX: usize = 2_000;
/// How long making a plan may take, ms; whoever asked waits for it.
pub const PLAN_MS: u64 = 25_000;
/// How often the folders of content are looked at, ms. A change is taken when two looks agree.
pub const CONTENT_LOOK_MS: u64 = 1_000;
/// Most files of content that are watched.
pub const CONTENT_FILES_MAX: usize = 20_000;

/// Most entities held by one `list` answer of the API.
pub const PAGE_MAX: usize = 1_000;

/// Largest answer read from a vendor, bytes; reading stops there.
pub const VENDOR_BODY_BYTES_MAX: usize = 4 << 20;
/// Deepest nesting of a vendor's XML. Answers of AWS stay below 10.
pub const XML_DEPTH_MAX: usize = 32;
/// Most elements of a vendor's XML.
pub const XML_NODES_MAX: usize = 50_000;
/// Most certificates in an instance's `ca` file; the public web needs about 150.
pub const CA_CERTIFICATES_MAX: usize = 500;
/// Most entries one search of a directory brings; a target is one of them, and a group's members are one entry.
pub const LDAP_ENTRIES_MAX: usize = 1_000;
/// Most recipients of one message.
pub const MAIL_RECIPIENTS_MAX: usize = 100;
/// Largest message, bytes, before it is encoded.
pub const MAIL_BYTES_MAX: usize = 256 << 10;
/// Longest line a mail server may answer before TLS, bytes (RFC 5321 §4.5.3.1.5 allows 512).
pub const SMTP_LINE_BYTES_MAX: usize = 2_048;
/// Most lines of one answer of a mail server before TLS.
pub const SMTP_LINES_MAX: usize = 64;
/// Total time of one request to a vendor, ms.
pub const VENDOR_REQUEST_MS: u64 = 20_000;
/// Time to connect to a vendor, ms.
pub const VENDOR_CONNECT_MS: u64 = 5_000;
/// Most requests one action may make: look-ups come before, waiting after, so few are needed.
pub const REQUESTS_PER_ACTION_MAX: usize = 8;
/// Longest `Retry-After` we obey as such, ms; a longer one is a failure that says so.
pub const RETRY_AFTER_MS_MAX: u64 = 600_000;

/// Attempts of one effect before it is given up.
pub const ATTEMPTS_MAX: u32 = 6;
/// Attempts of one effect while the vendor says when to come back.
pub const THROTTLED_MAX: u32 = 60;
/// First pause between attempts, ms; doubled each time, with jitter.
pub const BACKOFF_FIRST_MS: u64 = 500;
/// Longest pause between attempts, ms.
pub const BACKOFF_MS_MAX: u64 = 60_000;
/// How often a run that is rolled back tries to undo one effect before it pages somebody and ends. Each try has the
/// attempts of an effect.
pub const UNDO_TRIES_MAX: usize = 5;
/// Pause before the second of those tries, ms; doubled each time: seven and a half minutes in all.
pub const UNDO_PAUSE_FIRST_MS: u64 = 30_000;
/// How often a run that waits for a person to resolve a doubt, and for nothing else, is looked at, ms.
pub const DOUBT_LOOK_MS: u64 = 3_600_000;
/// How long the API waits for a signal to be heard by the run's worker before it answers that it is kept, ms.
pub const SIGNAL_HEARD_MS: u64 = 5_000;
/// Runs of one partition that are searched, newest first, for an effect of which nothing else says whose it is.
pub const EFFECT_SEARCH_RUNS_MAX: usize = 500;
/// Pause between looks at a target that another run holds locked, ms.
pub const LOCK_RETRY_MS: u64 = 50;
/// A wait that is not longer keeps its run in memory, ms: storing and claiming it again would cost more.
pub const RUN_STAYS_MS: u64 = 1_500;
/// Within which time the store has to do what changes a lock or a hold without a claim, ms: as long as a claim would allow.
pub const UNCLAIMED_WRITE_MS: u64 = CLAIM_MS;
/// How long a worker's claim on a run lasts without renewal, ms.
pub const CLAIM_MS: u64 = 15_000;
/// Runs one worker works on at once.
pub const RUNS_AT_ONCE: usize = 1_024;
/// How often a worker looks for due runs that nobody told it of, ms.
pub const SCHEDULER_TICK_MS: u64 = 200;
/// How long the halt switch may be out of date, ms.
pub const HALT_REFRESH_MS: u64 = 250;
/// Longest a run may live, ms, where its playbook says nothing.
pub const RUN_DEADLINE_MS: u64 = 24 * 3_600_000;
/// Longest lease, ms.
pub const LEASE_MS_MAX: u64 = 90 * 24 * 3_600_000;
/// Moments the clock of a simulated case may jump to: a week of readings a minute apart, and room to spare.
pub const SIMULATED_JUMPS_MAX: usize = 20_000;

/// Tries of one message by one way before the next way is taken.
pub const NOTIFY_TRIES_MAX: u32 = 4;
/// Tries by one way while it says when to come back.
pub const NOTIFY_THROTTLED_MAX: u32 = 10;
/// First pause between tries of a message, ms; doubled each time.
pub const NOTIFY_BACKOFF_FIRST_MS: u64 = 500;
/// Longest pause between tries of a message, ms: somebody waits for it.
pub const NOTIFY_BACKOFF_MS_MAX: u64 = 30_000;
/// A way that asks to be left alone for longer is passed over where there is another, ms.
pub const NOTIFY_DETOUR_MS: u64 = 30_000;
/// Longest one try of a message may take, ms: twice what a request to a vendor may.
pub const NOTIFY_TRY_MS: u64 = 40_000;
/// Messages under way at once, all channels together.
pub const NOTIFY_AT_ONCE: usize = 32;
/// Messages under way at once by one connector instance, so that a slow one does not hold up the others.
pub const NOTIFY_AT_ONCE_EACH: usize = 8;
/// How long a follower's claim on a partition lasts without renewal, ms.
pub const FOLLOWER_CLAIM_MS: u64 = 30_000;
/// How long repeats of a message are collected where the configuration says nothing, ms.
pub const NOTIFY_WINDOW_MS: u64 = 5 * 60_000;
/// Longest such window, ms: a count that comes a day later tells nobody anything.
pub const NOTIFY_WINDOW_MS_MAX: u64 = 24 * 3_600_000;
/// How long a notice that is over is kept for lists, ms.
pub const NOTICE_KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// A lease that ended later than this after its time is told, ms.
pub const LEASE_LATE_MS: u64 = 5 * 60_000;
/// How long an approval waits for people where nothing is said, ms; afterwards it is denied.
pub const APPROVAL_MS: u64 = 8 * 3_600_000;
/// Longest an approval may wait, ms.
pub const APPROVAL_MS_MAX: u64 = 90 * 24 * 3_600_000;
/// Most effects one approval may cover, after binding: more than anybody reads.
pub const APPROVAL_COVERS_MAX: usize = 100;
/// Most people who may have to agree.
pub const APPROVAL_QUORUM_MAX: usize = 16;
/// Longest question of an approval, characters.
pub const APPROVAL_ASK_CHARS_MAX: usize = 2_000;
/// How often one effect is asked about again because it changed while people decided.
pub const APPROVAL_AGAIN_MAX: usize = 2;
/// How often a worker that stays with a run looks for new votes, ms; a vote for a run at rest wakes it at once.
pub const VOTES_LOOK_MS: u64 = 500;
/// How long the API waits for a vote to be counted before it answers that it is kept, ms.
pub const VOTE_COUNTED_MS: u64 = 5_000;
/// Most members of one group of people who may approve.
pub const GROUP_MEMBERS_MAX: usize = 200;

/// Most places of one budget. Each is a row while its window lasts.
pub const BUDGET_PLACES_MAX: u32 = 100_000;
/// Longest window of a budget, ms: 90 days.
pub const BUDGET_WINDOW_MS_MAX: u64 = 90 * 86_400_000;
/// Longest text read from Redis, bytes: an alert's body and a journal entry have 1 MiB at most.
pub const REDIS_BULK_BYTES_MAX: usize = 64 << 20;
/// Most parts of one answer of Redis: the longest journal has some 100,000 entries.
pub const REDIS_REPLY_ITEMS_MAX: usize = 4 << 20;
/// Deepest answer of Redis. Ours have three levels.
pub const REDIS_REPLY_DEPTH_MAX: usize = 16;
/// Time to connect to a Redis server, its TLS and its AUTH included, ms.
pub const REDIS_CONNECT_MS: u64 = 2_000;
/// How long Redis may take to answer a batch, ms. A disk that syncs slowly takes a second.
pub const REDIS_REPLY_MS: u64 = 4_000;
/// How long `WAIT` waits for replicas, ms; an answer that is short is waited for again.
pub const REDIS_WAIT_MS: u64 = 1_500;
/// How long an operation is tried again over lost connections and failovers before it is `Unavailable`, ms. Less than
/// a claim, so that whoever waits still owns its run; more than a failover with the usual settings of a test.
pub const REDIS_OPERATION_MS: u64 = 10_000;
/// First pause before an operation is tried again, ms; doubled each time.
pub const REDIS_PAUSE_MS: u64 = 20;
/// Longest such pause, ms.
pub const REDIS_PAUSE_MS_MAX: u64 = 400;
/// Operations that may wait for one connection before the store answers `busy`.
pub const REDIS_QUEUE_MAX: usize = 1_024;
/// Most operations sent together, and shared by one `WAIT`.
pub const REDIS_BATCH_MAX: usize = 256;
/// Most bytes sent together; one operation may have more.
pub const REDIS_BATCH_BYTES_MAX: usize = 4 << 20;
/// Writing connections to one server: partitions are shared out among them.
pub const REDIS_WRITERS: u8 = 4;
/// Reading connections to one server.
pub const REDIS_READERS: u8 = 2;
/// How often a node asks the servers for the time and looks whether a partition is parked, ms.
pub const REDIS_BEAT_MS: u64 = 1_000;
/// Longest time in which a server's word on the time is of use, ms: it is taken for the middle of the question, so half of
/// this is how far a node's clock may be off.
pub const REDIS_TIME_MS: u64 = 250;
/// Records of one page when everything of a store is read or written.
pub const DUMP_PAGE: usize = 256;
/// A page ends after about so many bytes, so that large alerts do not pile up in memory.
pub const DUMP_PAGE_BYTES: usize = 4 << 20;
/// Calls of one partition that a node remembers, to put back what the servers lose. A second of a busy partition, many
/// times over: replication is never that far behind.
pub const REDIS_NOTED_MAX: usize = 4_096;
/// Most bytes of them.
pub const REDIS_NOTED_BYTES_MAX: usize = 4 << 20;
/// Largest file of them before it takes the place of the older one, bytes.
pub const REDIS_WITNESS_BYTES_MAX: u64 = 16 << 20;
/// How long nobody writes after a server took over, ms, so that every node has compared what it was acknowledged with
/// what is there before anything new stands in its place.
pub const REDIS_SETTLE_MS: u64 = 700;

/// Longest line of a backup, bytes: the largest alert in base64, or the longest journal.
pub const BACKUP_LINE_BYTES_MAX: u64 = 512 << 20;
/// Pieces of a backup that wait for whoever takes it, each a line.
pub const BACKUP_PIECES_MAX: usize = 64;
/// How long settled runs are kept where the configuration says nothing, ms: a year and a month, so that the year can be
/// looked back on.
pub const RETENTION_RUNS_MS: u64 = 400 * 86_400_000;
/// How long alerts are kept where the configuration says nothing, ms; what they led to is in the runs.
pub const RETENTION_ALERTS_MS: u64 = 90 * 86_400_000;
/// Shortest retention, ms: a day, longer than any sender goes on repeating a delivery that was answered.
pub const RETENTION_MS_MIN: u64 = 86_400_000;
/// A claim on a key that ended so long ago is forgotten, ms: clocks of several machines differ by less.
pub const CLAIM_KEPT_MS: u64 = 86_400_000;
/// The last change of a target that is so long ago is forgotten, ms: longer than any vendor's readings lag.
pub const CHANGE_KEPT_MS: u64 = 30 * 86_400_000;
/// How long the id of a collected run or alert stays used, ms: three years. Some 60 bytes each.
pub const GONE_KEPT_MS: u64 = 3 * 365 * 86_400_000;
/// Runs or alerts looked at together by retention.
pub const COLLECT_PAGE: usize = 200;
/// Pause of the task that keeps the store in order, ms; it stops within this.
pub const UPKEEP_TICK_MS: u64 = 1_000;
/// How long after the start it first looks, ms: runs of the process before are taken up by then.
pub const UPKEEP_FIRST_MS: u64 = 30_000;
/// How often it looks at the room, ms.
pub const ROOM_EVERY_MS: u64 = 15_000;
/// How often it looks for what must not be, ms. Each look reads the rows of all runs that are not over.
pub const INVARIANTS_EVERY_MS: u64 = 5 * 60_000;
/// How often it forgets what is past its time, ms.
pub const COLLECT_EVERY_MS: u64 = 3_600_000;
/// Rows read together when invariants are looked at.
pub const INVARIANT_PAGE: usize = 500;
/// A run that is due for longer than this and that nobody works on must not be, ms.
pub const RUN_LATE_MS: u64 = 5 * 60_000;
/// A lease that is over for longer than this and not ended must not be, ms.
pub const LEASE_OVERDUE_MS: u64 = 15 * 60_000;
/// An alert that is pending for longer than this must not be, ms. Longer than one may wait for a vendor's answer.
pub const ALERT_LATE_MS: u64 = 2 * 3_600_000;
/// Violations that are listed and logged; all are counted.
pub const VIOLATIONS_TOLD_MAX: usize = 50;
/// Below this share of free room, percent, and below [`ROOM_LOW_BYTES`], the store warns.
pub const ROOM_LOW_PERCENT: u8 = 20;
/// So much free room is enough whatever share of a large disk it is, bytes: days of a busy node.
pub const ROOM_LOW_BYTES: u64 = 5 << 30;
/// Below this share of free room, percent, and below [`ROOM_SHORT_BYTES`], somebody should get up.
pub const ROOM_SHORT_PERCENT: u8 = 10;
/// So much free room is not short whatever share of a large disk it is, bytes.
pub const ROOM_SHORT_BYTES: u64 = 1 << 30;
