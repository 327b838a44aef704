//! Which tables are joined, and by which column.

use super::*;

diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(members -> enterprises (enterprise_id));
diesel::joinable!(members -> users (user_id));
diesel::joinable!(team_members -> teams (team_id));
diesel::joinable!(team_members -> users (user_id));
diesel::joinable!(team_openings -> teams (team_id));
diesel::joinable!(installations -> applications (application_id));
diesel::joinable!(installations -> versions (version_id));
diesel::joinable!(components -> applications (application_id));
diesel::joinable!(publications -> applications (application_id));
diesel::joinable!(upgrade_records -> applications (application_id));

diesel::allow_tables_to_appear_in_same_query!(
    enterprises,
    users,
    sessions,
    members,
    sealed_values,
    drivers,
    clusters,
    libraries,
    library_reachability,
    teams,
    team_members,
    team_openings,
    templates,
    template_categories,
    versions,
    version_images,
    applications,
    installations,
    components,
    kubernetes_resources,
    cluster_objects,
    operations,
    steps,
    events,
    publications,
    publication_images,
    upgrade_records,
    audit_entries,
);
