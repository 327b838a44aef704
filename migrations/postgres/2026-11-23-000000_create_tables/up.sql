-- Words are checked by the server, which is the only writer; what is digested is kept as bytes.

CREATE TABLE enterprises (
  id uuid PRIMARY KEY NOT NULL,
  name text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL
);

CREATE TABLE users (
  id uuid PRIMARY KEY NOT NULL,
  name text NOT NULL UNIQUE,
  display_name text NOT NULL,
  password_hash text NOT NULL,
  must_change_password boolean NOT NULL,
  created_at timestamptz NOT NULL
);

-- Only the hash of a token is kept.
CREATE TABLE sessions (
  id uuid PRIMARY KEY NOT NULL,
  user_id uuid NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  token_hash bytea NOT NULL UNIQUE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_of_user ON sessions(user_id);

CREATE TABLE members (
  enterprise_id uuid NOT NULL REFERENCES enterprises(id),
  user_id uuid NOT NULL REFERENCES users(id),
  role text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (enterprise_id, user_id)
);
CREATE INDEX members_of_user ON members(user_id);

-- Immutable: another value is another row.
CREATE TABLE sealed_values (
  id uuid PRIMARY KEY NOT NULL,
  enterprise_id uuid NOT NULL REFERENCES enterprises(id),
  ciphertext bytea NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE drivers (
  id uuid PRIMARY KEY NOT NULL,
  name text NOT NULL UNIQUE,
  version text NOT NULL,
  digest text NOT NULL,
  source text NOT NULL,
  features bytea NOT NULL,
  config_schema bytea NOT NULL,
  requests bytea NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE clusters (
  id uuid PRIMARY KEY NOT NULL,
  enterprise_id uuid NOT NULL REFERENCES enterprises(id),
  name text NOT NULL,
  display_name text NOT NULL,
  driver_id uuid NOT NULL REFERENCES drivers(id),
  config bytea NOT NULL,
  kubeconfig uuid NOT NULL REFERENCES sealed_values(id),
  context text,
  accepts_teams boolean NOT NULL,
  maintenance boolean NOT NULL,
  status text NOT NULL,
  status_message text,
  facts bytea,
  last_seen_at timestamptz,
  checked_at timestamptz,
  generation bigint NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (enterprise_id, name)
);

CREATE TABLE libraries (
  enterprise_id uuid PRIMARY KEY NOT NULL REFERENCES enterprises(id),
  embedded boolean NOT NULL,
  url text NOT NULL,
  public_url text NOT NULL,
  prefix text NOT NULL,
  username text,
  password uuid REFERENCES sealed_values(id),
  pull_username text,
  pull_password uuid REFERENCES sealed_values(id),
  ca_certificate text,
  plain_http boolean NOT NULL,
  reachable boolean,
  checked_at timestamptz,
  message text,
  generation bigint NOT NULL
);

CREATE TABLE library_reachability (
  cluster_id uuid PRIMARY KEY NOT NULL REFERENCES clusters(id) ON DELETE CASCADE,
  enterprise_id uuid NOT NULL REFERENCES enterprises(id),
  library_generation bigint NOT NULL,
  reachable boolean NOT NULL,
  checked_at timestamptz NOT NULL,
  message text
);

CREATE TABLE teams (
  id uuid PRIMARY KEY NOT NULL,
  enterprise_id uuid NOT NULL REFERENCES enterprises(id),
  name text NOT NULL,
  slug text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (enterprise_id, slug)
);

CREATE TABLE team_members (
  team_id uuid NOT NULL REFERENCES teams(id) ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users(id),
  role text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_of_user ON team_members(user_id);

CREATE TABLE team_openings (
  id uuid PRIMARY KEY NOT NULL,
  team_id uuid NOT NULL REFERENCES teams(id) ON DELETE CASCADE,
  cluster_id uuid NOT NULL REFERENCES clusters(id),
  namespace text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (team_id, cluster_id),
  UNIQUE (cluster_id, namespace)
);

CREATE TABLE templates (
  id uuid PRIMARY KEY NOT NULL,
  enterprise_id uuid NOT NULL REFERENCES enterprises(id),
  team_id uuid REFERENCES teams(id),
  name text NOT NULL,
  scope text NOT NULL,
  description text NOT NULL,
  logo bytea,
  logo_type text,
  created_by uuid NOT NULL REFERENCES users(id),
  created_at timestamptz NOT NULL
);
CREATE INDEX templates_page ON templates(enterprise_id, name, id);
CREATE INDEX templates_of_team ON templates(team_id);

CREATE TABLE template_categories (
  template_id uuid NOT NULL REFERENCES templates(id) ON DELETE CASCADE,
  category text NOT NULL,
  PRIMARY KEY (template_id, category)
);

-- One row a revision. sort_key orders numbers: equal keys are the same number.
CREATE TABLE versions (
  id uuid PRIMARY KEY NOT NULL,
  template_id uuid NOT NULL REFERENCES templates(id),
  number text NOT NULL,
  sort_key bytea NOT NULL,
  revision bigint NOT NULL,
  is_current boolean NOT NULL,
  is_hidden boolean NOT NULL,
  alias text,
  description text NOT NULL,
  installable_as_add_ons boolean NOT NULL,
  digest text NOT NULL,
  content bytea NOT NULL,
  artifact_digest text,
  published_by text NOT NULL,
  published_at timestamptz NOT NULL,
  UNIQUE (template_id, sort_key, revision)
);
CREATE INDEX versions_current ON versions(template_id, sort_key) WHERE is_current AND NOT is_hidden;

CREATE TABLE version_images (
  id uuid PRIMARY KEY NOT NULL,
  version_id uuid NOT NULL REFERENCES versions(id) ON DELETE CASCADE,
  component_key uuid NOT NULL,
  component_name text NOT NULL,
  repository text NOT NULL,
  digest text NOT NULL,
  bytes bigint NOT NULL,
  platforms bytea NOT NULL
);
CREATE INDEX version_images_of_version ON version_images(version_id);

-- locked_by: the unfinished operation that changes it.
CREATE TABLE applications (
  id uuid PRIMARY KEY NOT NULL,
  enterprise_id uuid NOT NULL REFERENCES enterprises(id),
  team_id uuid NOT NULL REFERENCES teams(id),
  cluster_id uuid NOT NULL REFERENCES clusters(id),
  namespace text NOT NULL,
  name text NOT NULL,
  slug text NOT NULL,
  generation bigint NOT NULL,
  locked_by uuid,
  created_at timestamptz NOT NULL,
  UNIQUE (cluster_id, namespace, slug)
);
CREATE INDEX applications_of_team ON applications(team_id, name, id);

CREATE TABLE installations (
  id uuid PRIMARY KEY NOT NULL,
  application_id uuid NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  team_id uuid NOT NULL REFERENCES teams(id),
  cluster_id uuid NOT NULL REFERENCES clusters(id),
  template_id uuid NOT NULL REFERENCES templates(id),
  version_id uuid NOT NULL REFERENCES versions(id),
  scope text NOT NULL,
  state text NOT NULL,
  secret_groups bytea NOT NULL,
  kept_changes bytea NOT NULL,
  generation bigint NOT NULL,
  created_at timestamptz NOT NULL,
  uninstalled_at timestamptz
);
CREATE INDEX installations_of_application ON installations(application_id, created_at, id);
CREATE INDEX installations_of_template ON installations(template_id);
CREATE INDEX installations_of_version ON installations(version_id);

-- desired: what shall run; deployed: what was applied last. Both as JSON of the domain, keys as in this application.
CREATE TABLE components (
  id uuid PRIMARY KEY NOT NULL,
  application_id uuid NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  installation_id uuid REFERENCES installations(id) ON DELETE CASCADE,
  key uuid NOT NULL,
  template_key uuid,
  version_id uuid REFERENCES versions(id),
  no_longer_in_template boolean NOT NULL,
  name text NOT NULL,
  slug text NOT NULL,
  cluster_name text NOT NULL,
  desired bytea,
  deployed bytea,
  created_at timestamptz NOT NULL,
  UNIQUE (application_id, key),
  UNIQUE (application_id, slug),
  UNIQUE (application_id, cluster_name)
);
CREATE INDEX components_of_installation ON components(installation_id);

CREATE TABLE kubernetes_resources (
  id uuid PRIMARY KEY NOT NULL,
  application_id uuid NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  installation_id uuid REFERENCES installations(id) ON DELETE CASCADE,
  key uuid NOT NULL,
  template_key uuid,
  version_id uuid REFERENCES versions(id),
  no_longer_in_template boolean NOT NULL,
  api_version text NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  desired bytea,
  deployed bytea,
  created_at timestamptz NOT NULL,
  UNIQUE (application_id, key),
  UNIQUE (application_id, api_version, kind, name)
);
CREATE INDEX kubernetes_resources_of_installation ON kubernetes_resources(installation_id);

-- Ours is what carries our label and is listed here with its uid.
CREATE TABLE cluster_objects (
  id uuid PRIMARY KEY NOT NULL,
  application_id uuid NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  cluster_id uuid NOT NULL REFERENCES clusters(id),
  owner_key uuid,
  api_version text NOT NULL,
  kind text NOT NULL,
  namespace text NOT NULL,
  name text NOT NULL,
  uid text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (cluster_id, namespace, api_version, kind, name)
);
CREATE INDEX cluster_objects_of_application ON cluster_objects(application_id);

CREATE TABLE operations (
  id uuid PRIMARY KEY NOT NULL,
  enterprise_id uuid NOT NULL REFERENCES enterprises(id),
  team_id uuid REFERENCES teams(id) ON DELETE SET NULL,
  application_id uuid REFERENCES applications(id) ON DELETE SET NULL,
  cluster_id uuid REFERENCES clusters(id) ON DELETE SET NULL,
  publication_id uuid,
  installation_id uuid REFERENCES installations(id) ON DELETE SET NULL,
  record_id uuid,
  retry_of uuid,
  kind text NOT NULL,
  state text NOT NULL,
  progress double precision NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  finished_at timestamptz,
  error_code text,
  error_message text,
  plan_digest text,
  cancel_requested boolean NOT NULL,
  lease_owner uuid,
  lease_until timestamptz,
  generation bigint NOT NULL,
  next_sequence bigint NOT NULL
);
CREATE INDEX operations_unfinished ON operations(created_at, id) WHERE state IN ('QUEUED', 'RUNNING');
CREATE INDEX operations_of_application ON operations(application_id, created_at);

CREATE TABLE steps (
  operation_id uuid NOT NULL REFERENCES operations(id) ON DELETE CASCADE,
  number bigint NOT NULL,
  name text NOT NULL,
  component_key uuid,
  component_name text,
  needs bytea NOT NULL,
  action bytea NOT NULL,
  state text NOT NULL,
  attempts bigint NOT NULL,
  error text,
  deadline_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  PRIMARY KEY (operation_id, number)
);

CREATE TABLE events (
  operation_id uuid NOT NULL REFERENCES operations(id) ON DELETE CASCADE,
  sequence bigint NOT NULL,
  at timestamptz NOT NULL,
  kind text NOT NULL,
  step text,
  component text,
  message text NOT NULL,
  progress double precision,
  data bytea,
  PRIMARY KEY (operation_id, sequence)
);

CREATE TABLE publications (
  id uuid PRIMARY KEY NOT NULL,
  application_id uuid NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  template_id uuid NOT NULL REFERENCES templates(id),
  number text NOT NULL,
  sort_key bytea NOT NULL,
  alias text,
  description text NOT NULL,
  installable_as_add_ons boolean NOT NULL,
  state text NOT NULL,
  digest text NOT NULL,
  content bytea NOT NULL,
  warnings bytea NOT NULL,
  artifact_digest text,
  operation_id uuid REFERENCES operations(id),
  version_id uuid REFERENCES versions(id),
  created_by uuid NOT NULL REFERENCES users(id),
  created_at timestamptz NOT NULL
);
CREATE INDEX publications_of_application ON publications(application_id, created_at, id);
CREATE INDEX publications_of_template ON publications(template_id);

CREATE TABLE publication_images (
  id uuid PRIMARY KEY NOT NULL,
  publication_id uuid NOT NULL REFERENCES publications(id) ON DELETE CASCADE,
  component_key uuid NOT NULL,
  component_name text NOT NULL,
  source text NOT NULL,
  repository text NOT NULL,
  digest text NOT NULL,
  platforms bytea NOT NULL,
  state text NOT NULL,
  bytes_done bigint NOT NULL,
  bytes_total bigint NOT NULL,
  error text
);
CREATE INDEX publication_images_of_publication ON publication_images(publication_id);

-- snapshot: the complete desired state before; written: what the record wrote. Both live as long as the record.
CREATE TABLE upgrade_records (
  id uuid PRIMARY KEY NOT NULL,
  installation_id uuid NOT NULL REFERENCES installations(id) ON DELETE CASCADE,
  application_id uuid NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
  sequence bigint NOT NULL,
  kind text NOT NULL,
  rollback_of uuid REFERENCES upgrade_records(id),
  from_version_id uuid NOT NULL REFERENCES versions(id),
  to_version_id uuid NOT NULL REFERENCES versions(id),
  state text NOT NULL,
  changes bytea NOT NULL,
  outcomes bytea NOT NULL,
  left_for_people bytea NOT NULL,
  snapshot bytea NOT NULL,
  written bytea NOT NULL,
  request bytea NOT NULL,
  plan_digest text NOT NULL,
  operation_id uuid REFERENCES operations(id),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (installation_id, sequence)
);
CREATE INDEX upgrade_records_of_application ON upgrade_records(application_id, created_at, id);

CREATE TABLE audit_entries (
  id uuid PRIMARY KEY NOT NULL,
  enterprise_id uuid REFERENCES enterprises(id),
  at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  object text,
  plan_digest text,
  allowed boolean NOT NULL,
  result text NOT NULL
);
CREATE INDEX audit_entries_page ON audit_entries(enterprise_id, at, id);
