CREATE TABLE traffic_exchange (
    number bigint NOT NULL,
    id text NOT NULL,
    loop text NOT NULL,
    version text NOT NULL,
    "user" text NOT NULL,
    prompt text NOT NULL,
    messages text NOT NULL,
    answer text NOT NULL,
    status bigint NOT NULL,
    at double precision NOT NULL,
    latency_ms double precision NOT NULL,
    first_token_ms double precision,
    tokens_in bigint,
    tokens_out bigint,
    weight double precision NOT NULL,
    error text,
    well_formed boolean,
    stored_at double precision DEFAULT 0 NOT NULL,
    client text,
    refused boolean,
    other_language boolean
);
ALTER TABLE traffic_exchange ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME traffic_exchange_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE traffic_feedback (
    number bigint NOT NULL,
    id uuid NOT NULL,
    request_id text NOT NULL,
    at double precision NOT NULL,
    rating text,
    correction text,
    loop text NOT NULL,
    version text NOT NULL,
    asked_at double precision NOT NULL,
    comment text,
    tags text,
    stored_at double precision DEFAULT 0 NOT NULL
);
ALTER TABLE traffic_feedback ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME traffic_feedback_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE traffic_forgotten (
    id text NOT NULL,
    "user" text
);
CREATE TABLE traffic_schema (
    version bigint NOT NULL
);
CREATE TABLE traffic_shadow (
    request_id text NOT NULL,
    loop text NOT NULL,
    version text NOT NULL,
    production text NOT NULL,
    "user" text NOT NULL,
    at double precision NOT NULL,
    status bigint NOT NULL,
    latency_ms double precision NOT NULL,
    first_token_ms double precision,
    tokens_in bigint,
    tokens_out bigint,
    well_formed boolean,
    refused boolean,
    production_status bigint NOT NULL,
    production_latency_ms double precision NOT NULL,
    production_first_token_ms double precision,
    production_tokens_out bigint,
    production_well_formed boolean,
    production_refused boolean,
    agrees boolean,
    answer text NOT NULL,
    error text,
    other_language boolean,
    production_other_language boolean
);
INSERT INTO traffic_exchange OVERRIDING SYSTEM VALUE VALUES (1, 'voice-0', 'voice', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 'u', 'question 0', '[{"role": "user", "content": "question 0"}]', 'answer', 200, 1700000000, 5, 1, 3, 3, 20, NULL, NULL, 1700000000, NULL, false, NULL);
INSERT INTO traffic_exchange OVERRIDING SYSTEM VALUE VALUES (2, 'voice-1', 'voice', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 'u', 'question 1', '[{"role": "user", "content": "question 1"}]', 'answer', 200, 1700000001, 5, 1, 3, 3, 20, NULL, NULL, 1700000001, NULL, false, NULL);
INSERT INTO traffic_exchange OVERRIDING SYSTEM VALUE VALUES (3, 'voice-2', 'voice', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 'u', 'question 2', '[{"role": "user", "content": "question 2"}]', 'answer', 200, 1700000002, 5, 1, 3, 3, 20, NULL, NULL, 1700000002, NULL, false, NULL);
INSERT INTO traffic_feedback OVERRIDING SYSTEM VALUE VALUES (1, '6b036b48-1834-448c-b8be-1bbf8a884599', 'voice-0', 1700000100, 'up', NULL, 'voice', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 1700000000, 'opens the wrong door', 'late, rude', 1700000100);
INSERT INTO traffic_feedback OVERRIDING SYSTEM VALUE VALUES (2, 'e49bf667-7824-47b1-b87f-d88245453917', 'voice-1', 1700000100, NULL, '{"intent": "open"}', 'voice', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 1700000001, NULL, NULL, 1700000100);
INSERT INTO traffic_forgotten VALUES ('voice-3', NULL);
INSERT INTO traffic_schema VALUES (10);
INSERT INTO traffic_shadow VALUES ('voice-2', 'voice', 'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 'u', 1700000002, 200, 6, 1.5, 3, 4, true, false, 200, 5, 1, 3, NULL, false, false, '{"intent": "open"}', NULL, NULL, NULL);
SELECT pg_catalog.setval('traffic_exchange_number_seq', 4, true);
SELECT pg_catalog.setval('traffic_feedback_number_seq', 2, true);
ALTER TABLE ONLY traffic_exchange
    ADD CONSTRAINT traffic_exchange_pkey PRIMARY KEY (id);
ALTER TABLE ONLY traffic_feedback
    ADD CONSTRAINT traffic_feedback_pkey PRIMARY KEY (id);
ALTER TABLE ONLY traffic_forgotten
    ADD CONSTRAINT traffic_forgotten_pkey PRIMARY KEY (id);
ALTER TABLE ONLY traffic_shadow
    ADD CONSTRAINT traffic_shadow_pkey PRIMARY KEY (request_id, version);
CREATE INDEX traffic_exchange_by_arrival ON traffic_exchange USING btree (loop, stored_at, number);
CREATE INDEX traffic_exchange_by_time ON traffic_exchange USING btree (loop, at, number);
CREATE INDEX traffic_exchange_by_version ON traffic_exchange USING btree (loop, version, at, number) INCLUDE (weight, status, well_formed);
CREATE INDEX traffic_feedback_by_answer ON traffic_feedback USING btree (loop, asked_at);
CREATE INDEX traffic_feedback_by_request ON traffic_feedback USING btree (request_id, at, number);
CREATE INDEX traffic_feedback_corrections ON traffic_feedback USING btree (loop, stored_at) INCLUDE (asked_at) WHERE (correction <> ''::text);
CREATE INDEX traffic_shadow_by_version ON traffic_shadow USING btree (loop, version, at);
ALTER TABLE ONLY traffic_feedback
    ADD CONSTRAINT traffic_feedback_request_id_fkey FOREIGN KEY (request_id) REFERENCES traffic_exchange(id) ON DELETE CASCADE;
ALTER TABLE ONLY traffic_shadow
    ADD CONSTRAINT traffic_shadow_request_id_fkey FOREIGN KEY (request_id) REFERENCES traffic_exchange(id) ON DELETE CASCADE;
