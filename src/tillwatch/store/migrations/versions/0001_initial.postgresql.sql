CREATE TABLE ack_links (
	message BIGINT NOT NULL,
	incident BIGINT NOT NULL,
	used_at TIMESTAMP WITH TIME ZONE NOT NULL,
	actor VARCHAR NOT NULL,
	CONSTRAINT pk_ack_links PRIMARY KEY (message)
);

CREATE TABLE audit_proofs (
	audit VARCHAR NOT NULL,
	run BIGINT NOT NULL,
	signature VARCHAR NOT NULL,
	proven_at TIMESTAMP WITH TIME ZONE NOT NULL,
	full_at TIMESTAMP WITH TIME ZONE NOT NULL,
	swept_at TIMESTAMP WITH TIME ZONE NOT NULL,
	oldest_verified_at TIMESTAMP WITH TIME ZONE NOT NULL,
	deltas INTEGER NOT NULL,
	"left" TEXT NOT NULL,
	"right" TEXT NOT NULL,
	exact_keys BOOLEAN NOT NULL,
	prefix INTEGER NOT NULL,
	known TEXT,
	unfinished_since TIMESTAMP WITH TIME ZONE,
	pages INTEGER NOT NULL,
	CONSTRAINT pk_audit_proofs PRIMARY KEY (audit)
);

CREATE TABLE audit_runs (
	id BIGSERIAL NOT NULL,
	audit VARCHAR NOT NULL,
	trigger VARCHAR NOT NULL,
	slot TIMESTAMP WITH TIME ZONE,
	state VARCHAR NOT NULL,
	owner VARCHAR NOT NULL,
	lease_until TIMESTAMP WITH TIME ZONE,
	started_at TIMESTAMP WITH TIME ZONE NOT NULL,
	finished_at TIMESTAMP WITH TIME ZONE,
	verdict VARCHAR NOT NULL,
	reason TEXT NOT NULL,
	"left" TEXT,
	"right" TEXT,
	missing BIGINT NOT NULL,
	extra BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	unsettled BIGINT NOT NULL,
	late BIGINT NOT NULL,
	value_at_risk TEXT NOT NULL,
	strategy VARCHAR NOT NULL,
	strategy_reason TEXT NOT NULL,
	bytes_read BIGINT NOT NULL,
	seconds FLOAT NOT NULL,
	evidence TEXT,
	CONSTRAINT pk_audit_runs PRIMARY KEY (id),
	CONSTRAINT uq_audit_runs_audit_slot UNIQUE (audit, slot)
);

CREATE INDEX ix_audit_runs_audit_id ON audit_runs (audit, id);

CREATE INDEX ix_audit_runs_state_lease_until ON audit_runs (state, lease_until);

CREATE TABLE audit_suspects (
	audit VARCHAR NOT NULL,
	number INTEGER NOT NULL,
	run BIGINT NOT NULL,
	key TEXT NOT NULL,
	first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
	since TIMESTAMP WITH TIME ZONE NOT NULL,
	windows INTEGER NOT NULL,
	"left" VARCHAR NOT NULL,
	"right" VARCHAR NOT NULL,
	CONSTRAINT pk_audit_suspects PRIMARY KEY (audit, number)
);

CREATE TABLE breakers (
	system VARCHAR NOT NULL,
	credential_digest VARCHAR NOT NULL,
	opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
	reason TEXT NOT NULL,
	CONSTRAINT pk_breakers PRIMARY KEY (system)
);

CREATE TABLE channel_gates (
	channel VARCHAR NOT NULL,
	tokens FLOAT NOT NULL,
	counted_at TIMESTAMP WITH TIME ZONE,
	paused_until TIMESTAMP WITH TIME ZONE,
	failures INTEGER NOT NULL,
	opened_at TIMESTAMP WITH TIME ZONE,
	probe_at TIMESTAMP WITH TIME ZONE,
	last_at TIMESTAMP WITH TIME ZONE,
	last_result VARCHAR NOT NULL,
	last_code VARCHAR NOT NULL,
	last_detail TEXT NOT NULL,
	last_seconds FLOAT NOT NULL,
	last_success_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_channel_gates PRIMARY KEY (channel)
);

CREATE TABLE incidents (
	id BIGSERIAL NOT NULL,
	component VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	severity VARCHAR NOT NULL,
	title TEXT NOT NULL,
	titles TEXT NOT NULL,
	opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
	acknowledged_at TIMESTAMP WITH TIME ZONE,
	acknowledged_by VARCHAR NOT NULL,
	assigned_to VARCHAR NOT NULL,
	resolved_at TIMESTAMP WITH TIME ZONE,
	version INTEGER NOT NULL,
	parent BIGINT,
	value_at_risk TEXT,
	evidence TEXT NOT NULL,
	runbooks TEXT NOT NULL,
	told TEXT NOT NULL,
	climbs TEXT NOT NULL,
	acknowledged_until TIMESTAMP WITH TIME ZONE,
	snoozed_until TIMESTAMP WITH TIME ZONE,
	settles_at TIMESTAMP WITH TIME ZONE,
	next_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_incidents PRIMARY KEY (id),
	CONSTRAINT fk_incidents_parent FOREIGN KEY(parent) REFERENCES incidents (id)
);

CREATE INDEX ix_incidents_component_opened_at ON incidents (component, opened_at);

CREATE INDEX ix_incidents_next_at ON incidents (next_at);

CREATE INDEX ix_incidents_parent ON incidents (parent);

CREATE INDEX ix_incidents_state_id ON incidents (state, id);

CREATE UNIQUE INDEX uq_incidents_open_component ON incidents (component) WHERE state != 'resolved';

CREATE TABLE leases (
	name VARCHAR NOT NULL,
	owner VARCHAR NOT NULL,
	epoch INTEGER NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_leases PRIMARY KEY (name)
);

CREATE TABLE outbox (
	id BIGSERIAL NOT NULL,
	key VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	incident BIGINT,
	version INTEGER NOT NULL,
	repeat INTEGER NOT NULL,
	priority INTEGER NOT NULL,
	receiver VARCHAR NOT NULL,
	person VARCHAR NOT NULL,
	channel VARCHAR NOT NULL,
	text TEXT NOT NULL,
	state VARCHAR NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	not_before TIMESTAMP WITH TIME ZONE NOT NULL,
	finished_at TIMESTAMP WITH TIME ZONE,
	lease_owner VARCHAR NOT NULL,
	lease_until TIMESTAMP WITH TIME ZONE,
	epoch INTEGER NOT NULL,
	begun BOOLEAN NOT NULL,
	touched_at TIMESTAMP WITH TIME ZONE NOT NULL,
	attempts INTEGER NOT NULL,
	unknown_results INTEGER NOT NULL,
	possible_repeat BOOLEAN NOT NULL,
	payload TEXT,
	code VARCHAR NOT NULL,
	detail TEXT NOT NULL,
	CONSTRAINT pk_outbox PRIMARY KEY (id),
	CONSTRAINT uq_outbox_key UNIQUE (key)
);

CREATE INDEX ix_outbox_channel_incident_state ON outbox (channel, incident, state);

CREATE INDEX ix_outbox_incident ON outbox (incident);

CREATE INDEX ix_outbox_state_not_before ON outbox (state, not_before);

CREATE TABLE probe_results (
	id BIGSERIAL NOT NULL,
	probe VARCHAR NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE NOT NULL,
	seconds FLOAT NOT NULL,
	outcome VARCHAR NOT NULL,
	cause VARCHAR NOT NULL,
	message TEXT NOT NULL,
	phases TEXT NOT NULL,
	measurements TEXT NOT NULL,
	log TEXT NOT NULL,
	evidence TEXT NOT NULL,
	CONSTRAINT pk_probe_results PRIMARY KEY (id)
);

CREATE INDEX ix_probe_results_probe_id ON probe_results (probe, id);

CREATE TABLE probe_states (
	probe VARCHAR NOT NULL,
	status VARCHAR NOT NULL,
	failures_in_a_row INTEGER NOT NULL,
	successes_in_a_row INTEGER NOT NULL,
	since TIMESTAMP WITH TIME ZONE,
	alert_labels TEXT NOT NULL,
	alert_since TIMESTAMP WITH TIME ZONE,
	last TEXT,
	CONSTRAINT pk_probe_states PRIMARY KEY (probe)
);

CREATE TABLE quarantine (
	id BIGSERIAL NOT NULL,
	received_at TIMESTAMP WITH TIME ZONE NOT NULL,
	source VARCHAR NOT NULL,
	reason TEXT NOT NULL,
	body TEXT NOT NULL,
	CONSTRAINT pk_quarantine PRIMARY KEY (id)
);

CREATE TABLE runbook_runs (
	id BIGSERIAL NOT NULL,
	runbook VARCHAR NOT NULL,
	title TEXT NOT NULL,
	state VARCHAR NOT NULL,
	reason TEXT NOT NULL,
	params TEXT NOT NULL,
	plan TEXT NOT NULL,
	digest VARCHAR NOT NULL,
	requested_by VARCHAR NOT NULL,
	incident INTEGER,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	finished_at TIMESTAMP WITH TIME ZONE,
	deadline_at TIMESTAMP WITH TIME ZONE NOT NULL,
	lock VARCHAR,
	ending VARCHAR NOT NULL,
	waiting TEXT NOT NULL,
	waiting_since TIMESTAMP WITH TIME ZONE,
	stop_requested_by VARCHAR NOT NULL,
	wake_at TIMESTAMP WITH TIME ZONE,
	owner VARCHAR NOT NULL,
	epoch INTEGER NOT NULL,
	lease_until TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_runbook_runs PRIMARY KEY (id),
	CONSTRAINT uq_runbook_runs_lock UNIQUE (lock)
);

CREATE INDEX ix_runbook_runs_incident ON runbook_runs (incident);

CREATE INDEX ix_runbook_runs_runbook_created_at ON runbook_runs (runbook, created_at);

CREATE INDEX ix_runbook_runs_state_wake_at ON runbook_runs (state, wake_at);

CREATE TABLE runbook_switches (
	runbook VARCHAR NOT NULL,
	is_on BOOLEAN NOT NULL,
	actor VARCHAR NOT NULL,
	reason TEXT NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_runbook_switches PRIMARY KEY (runbook)
);

CREATE TABLE signing_keys (
	name VARCHAR NOT NULL,
	secret VARCHAR NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_signing_keys PRIMARY KEY (name)
);

CREATE TABLE silences (
	id VARCHAR NOT NULL,
	matchers TEXT NOT NULL,
	starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
	ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
	created_by TEXT NOT NULL,
	comment TEXT NOT NULL,
	annotations TEXT NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_silences PRIMARY KEY (id)
);

CREATE INDEX ix_silences_ends_at ON silences (ends_at);

CREATE TABLE validation_runs (
	id BIGSERIAL NOT NULL,
	validation VARCHAR NOT NULL,
	trigger VARCHAR NOT NULL,
	slot TIMESTAMP WITH TIME ZONE,
	state VARCHAR NOT NULL,
	owner VARCHAR NOT NULL,
	lease_until TIMESTAMP WITH TIME ZONE,
	started_at TIMESTAMP WITH TIME ZONE NOT NULL,
	finished_at TIMESTAMP WITH TIME ZONE,
	verdict VARCHAR NOT NULL,
	reason TEXT NOT NULL,
	system VARCHAR NOT NULL,
	dataset VARCHAR NOT NULL,
	rows BIGINT NOT NULL,
	rows_read BIGINT NOT NULL,
	counts TEXT,
	strategy VARCHAR NOT NULL,
	strategy_reason TEXT,
	bytes_read BIGINT NOT NULL,
	seconds FLOAT NOT NULL,
	evidence TEXT,
	CONSTRAINT pk_validation_runs PRIMARY KEY (id),
	CONSTRAINT uq_validation_runs_validation_slot UNIQUE (validation, slot)
);

CREATE INDEX ix_validation_runs_state_lease_until ON validation_runs (state, lease_until);

CREATE INDEX ix_validation_runs_validation_id ON validation_runs (validation, id);

CREATE TABLE audit_buckets (
	audit VARCHAR NOT NULL,
	page INTEGER NOT NULL,
	buckets TEXT NOT NULL,
	CONSTRAINT pk_audit_buckets PRIMARY KEY (audit, page),
	CONSTRAINT fk_audit_buckets_audit FOREIGN KEY(audit) REFERENCES audit_proofs (audit) ON DELETE CASCADE
);

CREATE TABLE audit_differences (
	run BIGINT NOT NULL,
	number INTEGER NOT NULL,
	kind VARCHAR NOT NULL,
	key TEXT NOT NULL,
	"left" TEXT,
	"right" TEXT,
	fields TEXT NOT NULL,
	value_at_risk TEXT NOT NULL,
	first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_audit_differences PRIMARY KEY (run, number),
	CONSTRAINT fk_audit_differences_run FOREIGN KEY(run) REFERENCES audit_runs (id) ON DELETE CASCADE
);

CREATE INDEX ix_audit_differences_run_kind_number ON audit_differences (run, kind, number);

CREATE TABLE audit_signoffs (
	id BIGSERIAL NOT NULL,
	run BIGINT NOT NULL,
	actor VARCHAR NOT NULL,
	reason TEXT NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_audit_signoffs PRIMARY KEY (id),
	CONSTRAINT fk_audit_signoffs_run FOREIGN KEY(run) REFERENCES audit_runs (id) ON DELETE CASCADE
);

CREATE INDEX ix_audit_signoffs_run ON audit_signoffs (run);

CREATE TABLE episodes (
	id BIGSERIAL NOT NULL,
	family VARCHAR NOT NULL,
	fingerprint VARCHAR NOT NULL,
	source VARCHAR NOT NULL,
	alertname VARCHAR NOT NULL,
	rank INTEGER NOT NULL,
	labels TEXT NOT NULL,
	annotations TEXT NOT NULL,
	starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
	state VARCHAR NOT NULL,
	ends_at TIMESTAMP WITH TIME ZONE,
	lease_until TIMESTAMP WITH TIME ZONE,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	incident BIGINT,
	generator_url TEXT NOT NULL,
	evidence TEXT NOT NULL,
	CONSTRAINT pk_episodes PRIMARY KEY (id),
	CONSTRAINT uq_episodes_family_fingerprint_starts_at UNIQUE (family, fingerprint, starts_at),
	CONSTRAINT fk_episodes_incident FOREIGN KEY(incident) REFERENCES incidents (id)
);

CREATE INDEX ix_episodes_incident_source ON episodes (incident, source);

CREATE INDEX ix_episodes_live ON episodes (incident, rank, starts_at, id) WHERE state != 'resolved';

CREATE INDEX ix_episodes_live_name ON episodes (alertname) WHERE state != 'resolved';

CREATE INDEX ix_episodes_state_lease_until ON episodes (state, lease_until);

CREATE TABLE outbox_attempts (
	outbox BIGINT NOT NULL,
	number INTEGER NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	owner VARCHAR NOT NULL,
	result VARCHAR NOT NULL,
	code VARCHAR NOT NULL,
	detail TEXT NOT NULL,
	seconds FLOAT NOT NULL,
	possible_repeat BOOLEAN NOT NULL,
	CONSTRAINT pk_outbox_attempts PRIMARY KEY (outbox, number),
	CONSTRAINT fk_outbox_attempts_outbox FOREIGN KEY(outbox) REFERENCES outbox (id) ON DELETE CASCADE
);

CREATE TABLE quiet_incidents (
	incident BIGINT NOT NULL,
	CONSTRAINT pk_quiet_incidents PRIMARY KEY (incident),
	CONSTRAINT fk_quiet_incidents_incident FOREIGN KEY(incident) REFERENCES incidents (id)
);

CREATE TABLE repair_plans (
	id BIGSERIAL NOT NULL,
	run BIGINT NOT NULL,
	audit VARCHAR NOT NULL,
	system VARCHAR NOT NULL,
	digest VARCHAR NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	created_by VARCHAR NOT NULL,
	CONSTRAINT pk_repair_plans PRIMARY KEY (id),
	CONSTRAINT uq_repair_plans_run UNIQUE (run),
	CONSTRAINT fk_repair_plans_run FOREIGN KEY(run) REFERENCES audit_runs (id)
);

CREATE TABLE runbook_records (
	run BIGINT NOT NULL,
	number INTEGER NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	actor VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	data TEXT NOT NULL,
	hash VARCHAR NOT NULL,
	CONSTRAINT pk_runbook_records PRIMARY KEY (run, number),
	CONSTRAINT fk_runbook_records_run FOREIGN KEY(run) REFERENCES runbook_runs (id)
);

CREATE TABLE runbook_steps (
	run BIGINT NOT NULL,
	number INTEGER NOT NULL,
	id VARCHAR NOT NULL,
	title TEXT NOT NULL,
	action VARCHAR NOT NULL,
	phase VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	attempts INTEGER NOT NULL,
	seconds FLOAT NOT NULL,
	output TEXT NOT NULL,
	error TEXT NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_runbook_steps PRIMARY KEY (run, number),
	CONSTRAINT fk_runbook_steps_run FOREIGN KEY(run) REFERENCES runbook_runs (id)
);

CREATE TABLE runbook_votes (
	id BIGSERIAL NOT NULL,
	run BIGINT NOT NULL,
	step VARCHAR NOT NULL,
	digest VARCHAR NOT NULL,
	actor VARCHAR NOT NULL,
	role VARCHAR NOT NULL,
	decision VARCHAR NOT NULL,
	reason TEXT NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_runbook_votes PRIMARY KEY (id),
	CONSTRAINT uq_runbook_votes_run_step_digest_actor UNIQUE (run, step, digest, actor),
	CONSTRAINT fk_runbook_votes_run FOREIGN KEY(run) REFERENCES runbook_runs (id)
);

CREATE TABLE timeline (
	id BIGSERIAL NOT NULL,
	incident BIGINT NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	kind VARCHAR NOT NULL,
	actor VARCHAR NOT NULL,
	data TEXT NOT NULL,
	CONSTRAINT pk_timeline PRIMARY KEY (id),
	CONSTRAINT fk_timeline_incident FOREIGN KEY(incident) REFERENCES incidents (id)
);

CREATE INDEX ix_timeline_incident_id ON timeline (incident, id);

CREATE TABLE validation_findings (
	run BIGINT NOT NULL,
	number INTEGER NOT NULL,
	rule VARCHAR NOT NULL,
	key TEXT NOT NULL,
	field VARCHAR NOT NULL,
	value TEXT,
	problem TEXT NOT NULL,
	CONSTRAINT pk_validation_findings PRIMARY KEY (run, number),
	CONSTRAINT fk_validation_findings_run FOREIGN KEY(run) REFERENCES validation_runs (id) ON DELETE CASCADE
);

CREATE INDEX ix_validation_findings_run_rule_number ON validation_findings (run, rule, number);

CREATE TABLE validation_own (
	run BIGINT NOT NULL,
	rule VARCHAR NOT NULL,
	values TEXT NOT NULL,
	CONSTRAINT pk_validation_own PRIMARY KEY (run, rule),
	CONSTRAINT fk_validation_own_run FOREIGN KEY(run) REFERENCES validation_runs (id) ON DELETE CASCADE
);

CREATE TABLE repair_attempts (
	id BIGSERIAL NOT NULL,
	plan BIGINT NOT NULL,
	number INTEGER NOT NULL,
	actor VARCHAR NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE NOT NULL,
	sent TEXT NOT NULL,
	finished_at TIMESTAMP WITH TIME ZONE,
	outcome VARCHAR NOT NULL,
	detail TEXT NOT NULL,
	CONSTRAINT pk_repair_attempts PRIMARY KEY (id),
	CONSTRAINT fk_repair_attempts_plan FOREIGN KEY(plan) REFERENCES repair_plans (id)
);

CREATE INDEX ix_repair_attempts_plan_number_id ON repair_attempts (plan, number, id);

CREATE TABLE repair_items (
	plan BIGINT NOT NULL,
	number INTEGER NOT NULL,
	key TEXT NOT NULL,
	kind VARCHAR NOT NULL,
	action VARCHAR NOT NULL,
	document TEXT NOT NULL,
	"left" TEXT,
	"right" TEXT,
	value_at_risk TEXT NOT NULL,
	status VARCHAR NOT NULL,
	reason TEXT NOT NULL,
	attempts INTEGER NOT NULL,
	receipt TEXT NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_repair_items PRIMARY KEY (plan, number),
	CONSTRAINT fk_repair_items_plan FOREIGN KEY(plan) REFERENCES repair_plans (id)
);

CREATE INDEX ix_repair_items_plan_status ON repair_items (plan, status);
