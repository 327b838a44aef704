-- Words are checked by the server, which is the only writer; what is digested is kept as bytes.

CREATE TABLE enterprises (
  id blob PRIMARY KEY NOT NULL,
  name text NOT NULL UNIQUE,
  created_at integer NOT NULL
) STRICT;

CREATE TABLE users (
  id blob PRIMARY KEY NOT NULL,
  name text NOT NULL UNIQUE,
  display_name text NOT NULL,
  password_hash text NOT NULL,
  must_change_password integer NOT NULL,
  created_at integer NOT NULL
) STRICT;

-- Only the hash of a token is kept.
CREATE TABLE sessions (
  id blob PRIMARY KEY NOT NULL,
  user_id blob NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  token_hash blob NOT NULL UNIQUE,
  created_at integer NOT NULL,
  expires_at integer NOT NULL
) STRICT;
CREATE INDEX sessions_of_user ON sessions(user_id);

CREATE TABLE members (
  enterprise_id blob NOT NULL REFERENCES enterprises(id),
  user_id blob NOT NULL REFERENCES users(id),
  role text NOT NULL,
  created_at integer NOT NULL,
  PRIMARY KEY (enterprise_id, user_id)
) STRICT;
CREATE INDEX members_of_user ON members(user_id);

-- Immutable: another value is another row.
CREATE TABLE sealed_values (
  id blob PRIMARY KEY NOT NULL,
  enterprise_id blob NOT NULL REFERENCES enterprises(id),
  ciphertext blob NOT NULL,
  created_at integer NOT NULL
) STRICT;

CREATE TABLE drivers (
  id blob PRIMARY KEY NOT NULL,
  name text NOT NULL UNIQUE,
  version text NOT NULL,
  digest text NOT NULL,
  source text NOT NULL,
  features blob NOT NULL,
  config_schema blob NOT NULL,
  requests blob NOT NULL,
  created_at integer NOT NULL
) STRICT;

CREATE TABLE clusters (
  id blob PRIMARY KEY NOT NULL,
  enterprise_id blob NOT NULL REFERENCES enterprises(id),
  name text NOT NULL,
  display_name text NOT NULL,
  driver_id blob NOT NULL REFERENCES drivers(id),
  config blob NOT NULL,
  kubeconfig blob NOT NULL REFERENCES sealed_values(id),
  context text,
  accepts_teams integer NOT NULL,
  maintenance integer NOT NULL,
  status text NOT NULL,
  status_message text,
  facts blob,
  last_seen_at integer,
  checked_at integer,
  generation integer NOT NULL,
  created_at integer NOT NULL,
  UNIQUE (enterprise_id, name)
) STRICT;

CREATE TABLE libraries (
  enterprise_id blob PRIMARY KEY NOT NULL REFERENCES enterprises(id),
  embedded integer NOT NULL,
  url text NOT NULL,
  public_url text NOT NULL,
  prefix text NOT NULL,
  username text,
  password blob REFERENCES sealed_values(id),
  pull_username text,
  pull_password blob REFERENCES sealed_values(id),
  ca_certificate text,
  plain_http integer NOT NULL,
  reachable integer,
  checked_at integer,
  message text,
  generation integer NOT NULL
) STRICT;

CREATE TABLE library_reachability (
  cluster_id blob PRIMARY KEY NOT NULL REFERENCES clusters(id) ON DELETE CASCADE,
  enterprise_id blob NOT NULL REFERENCES enterprises(id),
  library_generation integer NOT NULL,
  reachable integer NOT NULL,
  checked_at integer NOT NULL,
  message text
) STRICT;

CREATE TABLE teams (
  id blob PRIMARY KEY NOT NULL,
  enterprise_id blob NOT NULL REFERENCES enterprises(id),
  name text NOT NULL,
  slug text NOT NULL,
  created_at integer NOT NULL,
  UNIQUE (enterprise_id, slug)
) STRICT;

CREATE TABLE team_members (
  team_id blob NOT NULL REFERENCES teams(id) ON DELETE CASCADE,
  user_id blob NOT NULL REFERENCES users(id),
  role text NOT NULL,
  created_at integer NOT NULL,
  PRIMARY KEY (team_id, user_id)
) STRICT;
CREATE INDEX team_members_of_user ON team_members(user_id);

CREATE TABLE team_openings (
  id blob PRIMARY KEY NOT NULL,
  team_id blob NOT NULL REFERENCES teams(id) ON DELETE CASCADE,
  cluster_id blob NOT NULL REFERENCES clusters(id),
  namespace text NOT NULL,
  created_at integer NOT NULL,
  UNIQUE (team_id, cluster_id),
  UNIQUE (cluster_id, namespace)
) STRICT;

CREATE TABLE templates (
  id blob PRIMARY KEY NOT NULL,
  enterprise_id blob NOT NULL REFERENCES enterprises(id),
  team_id blob REFERENCES teams(id),
  name text NOT NULL,
  scope text NOT NULL,
  description text NOT NULL,
  logo blob,
  logo_type text,
  created_by blob NOT NULL REFERENCES users(id),
  created_at integer NOT NULL
) STRICT;
CREATE INDEX templates_page ON templates(enterprise_id, name, id);
CREATE INDEX templates_of_team ON templates(team_id);

CREATE TABLE template_categories (
  template_id blob NOT NULL REFERENCES templates(id) ON DELETE CASCADE,
  category text NOT NULL,
  PRIMARY KEY (template_id, category)
) STRICT;

-- One row a revision. sort_key orders numbers: equal keys are the same number.
CREATE TABLE versions (
  id blob PRIMARY KEY NOT NULL,
  template_id blob NOT NULL REFERENCES templates(id),
  number text NOT NULL,
  sort_key blob NOT NULL,
  revision integer NOT NULL,
  is_current integer NOT NULL,
  is_hidden integer NOT NULL,
  alias text,
  description text NOT NULL,
  installable_as_add_ons integer NOT NULL,
  digest text NOT NULL,
  content blob NOT NULL,
  artifact_digest text,
  published_by text NOT NULL,
  published_at integer NOT NULL,
  UNIQUE (template_id, sort_key, revision)
) STRICT;
CREATE INDEX versions_current ON versions(template_id, sort_key) WHERE is_current AND NOT is_hidden;

CREATE TABLE version_images (
  id blob PRIMARY KEY NOT NULL,
  version_id blob NOT NULL REFERENCES versions(id) ON DELETE CASCADE,
  component_key blob NOT NULL,
  component_name text NOT NULL,
  repository text NOT NULL,
  digest text NOT NULL,
  bytes integer NOT NULL,
  platforms blob NOT NULL
) STRICT;
CREATE INDEX version_images_of_version ON version_images(version_id);

-- locked_by: the unfinished operation that changes it.
CREATE TABLE applications (
  id blob PRIMARY KEY NOT NULL,
  enterprise_id blob NOT NULL REFERENCES enterprises(id),
  team_id blob NOT NULL REFERENCES teams(id),
  cluster_id blob NOT NULL REFERENCES clusters(id),
  namespace text NOT NULL,
  name text NOT NULL,
  slug text NOT NULL,
  generation integer NOT NULL,
  locked_by blob,
  created_at integer NOT NULL,
  UNIQUE (cluster_id, namespace, slug)
) STRICT;
CREATE INDEX applications_of_team ON applications(team_id, name, id);

CREATE TABLE installations (
  id blob PRIMARY KEY NOT NULL,
  application_id blob NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  team_id blob NOT NULL REFERENCES teams(id),
  cluster_id blob NOT NULL REFERENCES clusters(id),
  template_id blob NOT NULL REFERENCES templates(id),
  version_id blob NOT NULL REFERENCES versions(id),
  scope text NOT NULL,
  state text NOT NULL,
  secret_groups blob NOT NULL,
  kept_changes blob NOT NULL,
  generation integer NOT NULL,
  created_at integer NOT NULL,
  uninstalled_at integer
) STRICT;
CREATE INDEX installations_of_application ON installations(application_id, created_at, id);
CREATE INDEX installations_of_template ON installations(template_id);
CREATE INDEX installations_of_version ON installations(version_id);

-- desired: what shall run; deployed: what was applied last. Both as JSON of the domain, keys as in this application.
CREATE TABLE components (
  id blob PRIMARY KEY NOT NULL,
  application_id blob NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  installation_id blob REFERENCES installations(id) ON DELETE CASCADE,
  key blob NOT NULL,
  template_key blob,
  version_id blob REFERENCES versions(id),
  no_longer_in_template integer NOT NULL,
  name text NOT NULL,
  slug text NOT NULL,
  cluster_name text NOT NULL,
  desired blob,
  deployed blob,
  created_at integer NOT NULL,
  UNIQUE (application_id, key),
  UNIQUE (application_id, slug),
  UNIQUE (application_id, cluster_name)
) STRICT;
CREATE INDEX components_of_installation ON components(installation_id);

CREATE TABLE kubernetes_resources (
  id blob PRIMARY KEY NOT NULL,
  application_id blob NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  installation_id blob REFERENCES installations(id) ON DELETE CASCADE,
  key blob NOT NULL,
  template_key blob,
  version_id blob REFERENCES versions(id),
  no_longer_in_template integer NOT NULL,
  api_version text NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  desired blob,
  deployed blob,
  created_at integer NOT NULL,
  UNIQUE (application_id, key),
  UNIQUE (application_id, api_version, kind, name)
) STRICT;
CREATE INDEX kubernetes_resources_of_installation ON kubernetes_resources(installation_id);

-- Ours is what carries our label and is listed here with its uid.
CREATE TABLE cluster_objects (
  id blob PRIMARY KEY NOT NULL,
  application_id blob NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  cluster_id blob NOT NULL REFERENCES clusters(id),
  owner_key blob,
  api_version text NOT NULL,
  kind text NOT NULL,
  namespace text NOT NULL,
  name text NOT NULL,
  uid text NOT NULL,
  created_at integer NOT NULL,
  UNIQUE (cluster_id, namespace, api_version, kind, name)
) STRICT;
CREATE INDEX cluster_objects_of_application ON cluster_objects(application_id);

CREATE TABLE operations (
  id blob PRIMARY KEY NOT NULL,
  enterprise_id blob NOT NULL REFERENCES enterprises(id),
  team_id blob REFERENCES teams(id) ON DELETE SET NULL,
  application_id blob REFERENCES applications(id) ON DELETE SET NULL,
  cluster_id blob REFERENCES clusters(id) ON DELETE SET NULL,
  publication_id blob,
  installation_id blob REFERENCES installations(id) ON DELETE SET NULL,
  record_id blob,
  retry_of blob,
  kind text NOT NULL,
  state text NOT NULL,
  progress real NOT NULL,
  created_by text NOT NULL,
  created_at integer NOT NULL,
  started_at integer,
  finished_at integer,
  error_code text,
  error_message text,
  plan_digest text,
  cancel_requested integer NOT NULL,
  lease_owner blob,
  lease_until integer,
  generation integer NOT NULL,
  next_sequence integer NOT NULL
) STRICT;
CREATE INDEX operations_unfinished ON operations(created_at, id) WHERE state IN ('QUEUED', 'RUNNING');
CREATE INDEX operations_of_application ON operations(application_id, created_at);

CREATE TABLE steps (
  operation_id blob NOT NULL REFERENCES operations(id) ON DELETE CASCADE,
  number integer NOT NULL,
  name text NOT NULL,
  component_key blob,
  component_name text,
  needs blob NOT NULL,
  action blob NOT NULL,
  state text NOT NULL,
  attempts integer NOT NULL,
  error text,
  deadline_at integer,
  started_at integer,
  finished_at integer,
  PRIMARY KEY (operation_id, number)
) STRICT;

CREATE TABLE events (
  operation_id blob NOT NULL REFERENCES operations(id) ON DELETE CASCADE,
  sequence integer NOT NULL,
  at integer NOT NULL,
  kind text NOT NULL,
  step text,
  component text,
  message text NOT NULL,
  progress real,
  data blob,
  PRIMARY KEY (operation_id, sequence)
) STRICT;

CREATE TABLE publications (
  id blob PRIMARY KEY NOT NULL,
  application_id blob NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  template_id blob NOT NULL REFERENCES templates(id),
  number text NOT NULL,
  sort_key blob NOT NULL,
  alias text,
  description text NOT NULL,
  installable_as_add_ons integer NOT NULL,
  state text NOT NULL,
  digest text NOT NULL,
  content blob NOT NULL,
  warnings blob NOT NULL,
  artifact_digest text,
  operation_id blob REFERENCES operations(id),
  version_id blob REFERENCES versions(id),
  created_by blob NOT NULL REFERENCES users(id),
  created_at integer NOT NULL
) STRICT;
CREATE INDEX publications_of_application ON publications(application_id, created_at, id);
CREATE INDEX publications_of_template ON publications(template_id);

CREATE TABLE publication_images (
  id blob PRIMARY KEY NOT NULL,
  publication_id blob NOT NULL REFERENCES publications(id) ON DELETE CASCADE,
  component_key blob NOT NULL,
  component_name text NOT NULL,
  source text NOT NULL,
  repository text NOT NULL,
  digest text NOT NULL,
  platforms blob NOT NULL,
  state text NOT NULL,
  bytes_done integer NOT NULL,
  bytes_total integer NOT NULL,
  error text
) STRICT;
CREATE INDEX publication_images_of_publication ON publication_images(publication_id);

-- snapshot: the complete desired state before; written: what the record wrote. Both live as long as the record.
CREATE TABLE upgrade_records (
  id blob PRIMARY KEY NOT NULL,
  installation_id blob NOT NULL REFERENCES installations(id) ON DELETE CASCADE,
  application_id blob NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  sequence integer NOT NULL,
  kind text NOT NULL,
  rollback_of blob REFERENCES upgrade_records(id),
  from_version_id blob NOT NULL REFERENCES versions(id),
  to_version_id blob NOT NULL REFERENCES versions(id),
  state text NOT NULL,
  changes blob NOT NULL,
  outcomes blob NOT NULL,
  left_for_people blob NOT NULL,
  snapshot blob NOT NULL,
  written blob NOT NULL,
  request blob NOT NULL,
  plan_digest text NOT NULL,
  operation_id blob REFERENCES operations(id),
  created_by text NOT NULL,
  created_at integer NOT NULL,
  UNIQUE (installation_id, sequence)
) STRICT;
CREATE INDEX upgrade_records_of_application ON upgrade_records(application_id, created_at, id);

CREATE TABLE audit_entries (
  id blob PRIMARY KEY NOT NULL,
  enterprise_id blob REFERENCES enterprises(id),
  at integer NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  object text,
  plan_digest text,
  allowed integer NOT NULL,
  result text NOT NULL
) STRICT;
CREATE INDEX audit_entries_page ON audit_entries(enterprise_id, at, id);
