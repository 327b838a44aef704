//! The tables, as both databases have them. The migrations say what they are for.
#![allow(clippy::wildcard_imports, reason = "the macro's own way to name column types")]
#![expect(missing_docs, reason = "what diesel's macro makes has no documentation of its own")]

mod joins;

/// The types of columns: those that both databases have, and our own.
mod columns {
    pub(super) use crate::types::*;
    pub(super) use diesel::sql_types::*;
}

diesel::table! {
    use crate::schema::columns::*;

    enterprises (id) {
        id -> IdSql,
        name -> Text,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    users (id) {
        id -> IdSql,
        name -> Text,
        display_name -> Text,
        password_hash -> Text,
        must_change_password -> Bool,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    sessions (id) {
        id -> IdSql,
        user_id -> IdSql,
        token_hash -> Binary,
        created_at -> InstantSql,
        expires_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    members (enterprise_id, user_id) {
        enterprise_id -> IdSql,
        user_id -> IdSql,
        role -> Text,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    sealed_values (id) {
        id -> IdSql,
        enterprise_id -> IdSql,
        ciphertext -> Binary,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    drivers (id) {
        id -> IdSql,
        name -> Text,
        version -> Text,
        digest -> Text,
        source -> Text,
        features -> Binary,
        config_schema -> Binary,
        requests -> Binary,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    clusters (id) {
        id -> IdSql,
        enterprise_id -> IdSql,
        name -> Text,
        display_name -> Text,
        driver_id -> IdSql,
        config -> Binary,
        kubeconfig -> IdSql,
        context -> Nullable<Text>,
        accepts_teams -> Bool,
        maintenance -> Bool,
        status -> Text,
        status_message -> Nullable<Text>,
        facts -> Nullable<Binary>,
        last_seen_at -> Nullable<InstantSql>,
        checked_at -> Nullable<InstantSql>,
        generation -> BigInt,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    libraries (enterprise_id) {
        enterprise_id -> IdSql,
        embedded -> Bool,
        url -> Text,
        public_url -> Text,
        prefix -> Text,
        username -> Nullable<Text>,
        password -> Nullable<IdSql>,
        pull_username -> Nullable<Text>,
        pull_password -> Nullable<IdSql>,
        ca_certificate -> Nullable<Text>,
        plain_http -> Bool,
        reachable -> Nullable<Bool>,
        checked_at -> Nullable<InstantSql>,
        message -> Nullable<Text>,
        generation -> BigInt,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    library_reachability (cluster_id) {
        cluster_id -> IdSql,
        enterprise_id -> IdSql,
        library_generation -> BigInt,
        reachable -> Bool,
        checked_at -> InstantSql,
        message -> Nullable<Text>,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    teams (id) {
        id -> IdSql,
        enterprise_id -> IdSql,
        name -> Text,
        slug -> Text,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    team_members (team_id, user_id) {
        team_id -> IdSql,
        user_id -> IdSql,
        role -> Text,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    team_openings (id) {
        id -> IdSql,
        team_id -> IdSql,
        cluster_id -> IdSql,
        namespace -> Text,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    templates (id) {
        id -> IdSql,
        enterprise_id -> IdSql,
        team_id -> Nullable<IdSql>,
        name -> Text,
        scope -> Text,
        description -> Text,
        logo -> Nullable<Binary>,
        logo_type -> Nullable<Text>,
        created_by -> IdSql,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    template_categories (template_id, category) {
        template_id -> IdSql,
        category -> Text,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    versions (id) {
        id -> IdSql,
        template_id -> IdSql,
        number -> Text,
        sort_key -> Binary,
        revision -> BigInt,
        is_current -> Bool,
        is_hidden -> Bool,
        alias -> Nullable<Text>,
        description -> Text,
        installable_as_add_ons -> Bool,
        digest -> Text,
        content -> Binary,
        artifact_digest -> Nullable<Text>,
        published_by -> Text,
        published_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    version_images (id) {
        id -> IdSql,
        version_id -> IdSql,
        component_key -> IdSql,
        component_name -> Text,
        repository -> Text,
        digest -> Text,
        bytes -> BigInt,
        platforms -> Binary,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    applications (id) {
        id -> IdSql,
        enterprise_id -> IdSql,
        team_id -> IdSql,
        cluster_id -> IdSql,
        namespace -> Text,
        name -> Text,
        slug -> Text,
        generation -> BigInt,
        locked_by -> Nullable<IdSql>,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    installations (id) {
        id -> IdSql,
        application_id -> IdSql,
        team_id -> IdSql,
        cluster_id -> IdSql,
        template_id -> IdSql,
        version_id -> IdSql,
        scope -> Text,
        state -> Text,
        secret_groups -> Binary,
        kept_changes -> Binary,
        generation -> BigInt,
        created_at -> InstantSql,
        uninstalled_at -> Nullable<InstantSql>,
        ended_as -> Nullable<Binary>,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    components (id) {
        id -> IdSql,
        application_id -> IdSql,
        installation_id -> Nullable<IdSql>,
        key -> IdSql,
        template_key -> Nullable<IdSql>,
        version_id -> Nullable<IdSql>,
        no_longer_in_template -> Bool,
        name -> Text,
        slug -> Text,
        cluster_name -> Text,
        desired -> Nullable<Binary>,
        deployed -> Nullable<Binary>,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    kubernetes_resources (id) {
        id -> IdSql,
        application_id -> IdSql,
        installation_id -> Nullable<IdSql>,
        key -> IdSql,
        template_key -> Nullable<IdSql>,
        version_id -> Nullable<IdSql>,
        no_longer_in_template -> Bool,
        api_version -> Text,
        kind -> Text,
        name -> Text,
        desired -> Nullable<Binary>,
        deployed -> Nullable<Binary>,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    cluster_objects (id) {
        id -> IdSql,
        application_id -> IdSql,
        cluster_id -> IdSql,
        owner_key -> Nullable<IdSql>,
        api_version -> Text,
        kind -> Text,
        namespace -> Text,
        name -> Text,
        uid -> Text,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    operations (id) {
        id -> IdSql,
        enterprise_id -> IdSql,
        team_id -> Nullable<IdSql>,
        application_id -> Nullable<IdSql>,
        cluster_id -> Nullable<IdSql>,
        publication_id -> Nullable<IdSql>,
        installation_id -> Nullable<IdSql>,
        record_id -> Nullable<IdSql>,
        retry_of -> Nullable<IdSql>,
        kind -> Text,
        state -> Text,
        progress -> Double,
        created_by -> Text,
        created_at -> InstantSql,
        started_at -> Nullable<InstantSql>,
        finished_at -> Nullable<InstantSql>,
        error_code -> Nullable<Text>,
        error_message -> Nullable<Text>,
        plan_digest -> Nullable<Text>,
        cancel_requested -> Bool,
        lease_owner -> Nullable<IdSql>,
        lease_until -> Nullable<InstantSql>,
        generation -> BigInt,
        next_sequence -> BigInt,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    steps (operation_id, number) {
        operation_id -> IdSql,
        number -> BigInt,
        name -> Text,
        component_key -> Nullable<IdSql>,
        component_name -> Nullable<Text>,
        needs -> Binary,
        action -> Binary,
        state -> Text,
        attempts -> BigInt,
        error -> Nullable<Text>,
        deadline_at -> Nullable<InstantSql>,
        started_at -> Nullable<InstantSql>,
        finished_at -> Nullable<InstantSql>,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    events (operation_id, sequence) {
        operation_id -> IdSql,
        sequence -> BigInt,
        at -> InstantSql,
        kind -> Text,
        step -> Nullable<Text>,
        component -> Nullable<Text>,
        message -> Text,
        progress -> Nullable<Double>,
        data -> Nullable<Binary>,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    publications (id) {
        id -> IdSql,
        application_id -> IdSql,
        template_id -> IdSql,
        number -> Text,
        sort_key -> Binary,
        alias -> Nullable<Text>,
        description -> Text,
        installable_as_add_ons -> Bool,
        state -> Text,
        digest -> Text,
        content -> Binary,
        warnings -> Binary,
        artifact_digest -> Nullable<Text>,
        operation_id -> Nullable<IdSql>,
        version_id -> Nullable<IdSql>,
        created_by -> IdSql,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    publication_images (id) {
        id -> IdSql,
        publication_id -> IdSql,
        component_key -> IdSql,
        component_name -> Text,
        source -> Text,
        repository -> Text,
        digest -> Text,
        platforms -> Binary,
        state -> Text,
        bytes_done -> BigInt,
        bytes_total -> BigInt,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    upgrade_records (id) {
        id -> IdSql,
        installation_id -> IdSql,
        application_id -> IdSql,
        sequence -> BigInt,
        kind -> Text,
        rollback_of -> Nullable<IdSql>,
        from_version_id -> IdSql,
        to_version_id -> IdSql,
        state -> Text,
        changes -> Binary,
        outcomes -> Binary,
        left_for_people -> Binary,
        snapshot -> Binary,
        written -> Binary,
        request -> Binary,
        plan_digest -> Text,
        operation_id -> Nullable<IdSql>,
        created_by -> Text,
        created_at -> InstantSql,
    }
}

diesel::table! {
    use crate::schema::columns::*;

    audit_entries (id) {
        id -> IdSql,
        enterprise_id -> Nullable<IdSql>,
        at -> InstantSql,
        actor -> Text,
        action -> Text,
        object -> Nullable<Text>,
        plan_digest -> Nullable<Text>,
        allowed -> Bool,
        result -> Text,
    }
}
