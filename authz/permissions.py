"""Every permission there is, by the name that the schema, the policy and the custom roles use."""

from collections.abc import Mapping

PERMISSIONS: Mapping[str, str] = {
    "viewer:read": "See who the caller is and what they may do.",
    "tenancy:read": "See the group, brands, dealers, stores and channel accounts.",
    "fan:read": "See fans without what identifies them as a person.",
    "fan:read_personal": "See a fan's phone number, birthday and identities in the clear.",
    "fan:write": "Register, change, assign and merge fans.",
    "fan:export": "Take fans out of the system in bulk.",
    "attribute:write": "Define what a brand wants to know of its fans.",
    "tag:read": "See tags and which fans carry them.",
    "tag:write": "Make tags and put them on fans or take them off.",
    "order:read": "See orders and what they hold.",
    "order:write": "Record orders and change their state.",
    "share:read": "See who shared what and whom it reached.",
    "share:write": "Open share cascades and record visits through them.",
    "referral:read": "See who invited whom.",
    "referral:write": "Record invitations.",
    "consent:read": "See what fans agreed to and when.",
    "consent:write": "Record what fans agreed to, or took back.",
    "erasure:read": "See who asked to be erased and whether it is done.",
    "job:read": "See long-running jobs and how far they are.",
    "graph:read": "Ask the graph for reach, paths and influence.",
    "audit:read": "Read the audit log.",
    "role:assign": "Give and take roles, never more than the caller holds.",
    "role:write": "Make and change the group's own roles.",
    "staff:read": "See staff and API keys.",
    "staff:write": "Add and disable staff and API keys.",
    "schema:introspect": "Introspect the schema.",
    "me:read": "As a fan, see one's own data.",
    "me:write": "As a fan, act for oneself: profile, shares, invitations.",
}
