//! What a publishing socket counts.

use oncue::SocketStats;

use super::family::{Family, Plain, counter, gauge};
use super::text::Kind;

#[rustfmt::skip]
pub(crate) const FAMILIES: &[Family<Plain<SocketStats>>] = &[
    gauge("oncue_peers", Plain::One(|all| all.peers),
        "Subscribers connected."),
    gauge("oncue_peers_full", Plain::One(|all| all.peers_full),
        "Subscribers whose queue is full."),
    counter("oncue_peers_lost", Plain::One(|all| all.peers_lost),
        "Connections that ended after their handshake."),
    counter("oncue_peers_evicted", Plain::One(|all| all.peers_evicted),
        "Subscribers disconnected because they were full for too long; refused with the reason bound_exceeded, too."),
    counter("oncue_peers_refused", Plain::By("reason", |all| {
        let refused = all.refusals;
        vec![
            ("protocol", refused.protocol),
            ("socket_type", refused.socket_type),
            ("mechanism", refused.mechanism),
            ("not_let_in", refused.not_let_in),
            ("bound_exceeded", refused.bound_exceeded),
            ("turned_away", refused.turned_away),
            ("handshake_timeout", refused.handshake_timeout),
            ("by_peer", refused.by_peer),
            ("other", refused.other),
        ]
    }), "Connections refused or given up."),
    counter("oncue_quota_met", Plain::By("quota", |all| {
        let met = all.quotas;
        vec![
            ("peers_max", met.peers_max),
            ("peers_per_address_max", met.peers_per_address_max),
            ("handshakes_max", met.handshakes_max),
            ("message_bytes_max", met.message_bytes_max),
            ("prefix_length_max", met.prefix_length_max),
            ("prefixes_max", met.prefixes_max),
            ("prefix_bytes_max", met.prefix_bytes_max),
            ("prefixes_per_user_max", met.prefixes_per_user_max),
            ("prefix_bytes_per_user_max", met.prefix_bytes_per_user_max),
            ("changes_per_second_max", met.changes_per_second_max),
        ]
    }), "How often each quota was met; its name is that of its key in the config."),
    counter("oncue_accepts_paused", Plain::One(|all| all.accepts_paused),
        "How often a listener has paused because too few descriptors were left."),
    counter("oncue_messages", Plain::One(|all| all.sent),
        "Messages sent while at least one subscriber was connected."),
    counter("oncue_messages_dropped", Plain::One(|all| all.outbox_full),
        "Messages dropped because the I/O threads had not caught up."),
    counter("oncue_deliveries", Plain::One(|all| all.delivered),
        "Messages completely written to a subscriber's connection."),
    counter("oncue_deliveries_missed", Plain::One(|all| all.missed),
        "Messages missed by a subscriber whose queue was full."),
    counter("oncue_deliveries_undelivered", Plain::One(|all| all.undelivered),
        "Messages neither delivered nor missed when the connection of a subscriber ended."),
    counter("oncue_subscriptions_rejected", Plain::One(|all| all.subscriptions_rejected),
        "Subscriptions rejected by rules."),
    counter("oncue_subscriptions_deferred", Plain::One(|all| all.subscriptions_deferred),
        "Subscriptions whose admission was deferred."),
    counter("oncue_subscriptions_revoked", Plain::One(|all| all.subscriptions_revoked),
        "Subscriptions that were revoked."),
    counter("oncue_states_missed", Plain::One(|all| all.states_missed),
        "States of topics that a subscriber did not read in time."),
    gauge("oncue_last_values", Plain::One(|all| all.last_values),
        "Last values kept."),
    Family {
        name: "oncue_last_values_bytes", kind: Kind::Gauge, unit: Some("bytes"), help: "What they take.",
        read: Plain::One(|all| all.last_values_bytes),
    },
    counter("oncue_last_values_dropped", Plain::One(|all| all.last_values_dropped),
        "Last values dropped to make room."),
    counter("oncue_last_values_offered", Plain::One(|all| all.last_values_offered),
        "Last values sent to new subscribers; they count as delivered, too."),
];
