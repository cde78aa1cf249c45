BEGIN TRANSACTION;
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT, well_formed INTEGER, stored_at REAL NOT NULL DEFAULT 0,
    client TEXT
, refused INTEGER, other_language INTEGER);
INSERT INTO "exchange" VALUES('chatcmpl-fe02236eb3154438a8a78cb1e330acb1','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','92d2c7690020c8c369e176459bf414d2','question 0','[{"role":"user","content":"question 0"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 0',200,1.79602572029965877531e+09,8.09067700174637138843e+00,NULL,7,3,100.0,NULL,0,1.79602572029965877531e+09,NULL,NULL,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-481da939075f441488385d4c968f6807','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','747362e28e7bde2669cf816613a4003a','question 1','[{"role":"user","content":"question 1"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 1',200,1.79602572033166265489e+09,3.19547599792713299393e+00,NULL,7,3,100.0,NULL,0,1.79602572033166265489e+09,NULL,NULL,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-f06dce5b141b495792429a7ea88901f0','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','e6567ac725a1733246e2d8967fc32e32','question 2','[{"role":"user","content":"question 2"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 2',200,1.79602572034363603594e+09,1.14476699673105031251e+00,NULL,7,3,100.0,NULL,0,1.79602572034363603594e+09,NULL,NULL,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-a0aece9c94a34c608e8c75ec667493d4','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','b3f71f53e6c96f036a8fe912c7c9715a','question in a canary','[{"role":"user","content":"question in a canary"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question in a canary',200,1.79602572057807302477e+09,9.44669001910369843244e-01,NULL,7,3,80.0,NULL,0,1.79602572057807302477e+09,NULL,NULL,NULL);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT,
    loop TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT '', asked_at REAL NOT NULL DEFAULT 0, comment TEXT, tags TEXT,
    stored_at REAL NOT NULL DEFAULT 0
);
INSERT INTO "feedback" VALUES(1,'chatcmpl-fe02236eb3154438a8a78cb1e330acb1',1.79602572034660220145e+09,'up',NULL,'support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79602572029965877531e+09,'opens the wrong door','late, rude',1.79602572034660220145e+09);
INSERT INTO "feedback" VALUES(2,'chatcmpl-481da939075f441488385d4c968f6807',1.79602572035160779951e+09,NULL,'{"intent": "open"}','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79602572033166265489e+09,NULL,NULL,1.79602572035160779951e+09);
CREATE TABLE forgotten (id TEXT PRIMARY KEY, user TEXT) WITHOUT ROWID;
CREATE TABLE shadow (
    request_id TEXT NOT NULL REFERENCES exchange (id), loop TEXT NOT NULL, version TEXT NOT NULL, production TEXT NOT NULL,
    user TEXT NOT NULL, at REAL NOT NULL, status INTEGER NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL, tokens_in INTEGER,
    tokens_out INTEGER, well_formed INTEGER, refused INTEGER, production_status INTEGER NOT NULL, production_latency_ms REAL NOT NULL,
    production_first_token_ms REAL, production_tokens_out INTEGER, production_well_formed INTEGER, production_refused INTEGER,
    agrees INTEGER, answer TEXT NOT NULL, error TEXT, other_language INTEGER, production_other_language INTEGER, PRIMARY KEY (request_id, version)
);
INSERT INTO "shadow" VALUES('chatcmpl-a0aece9c94a34c608e8c75ec667493d4','support','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','b3f71f53e6c96f036a8fe912c7c9715a',1.79602572057807302477e+09,200,6.0,1.5,3,4,1,0,200,9.44669001910369843244e-01,NULL,3,NULL,0,0,'{"intent": "open"}',NULL,NULL,NULL);
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
CREATE INDEX exchange_by_version ON exchange (loop, version, at, weight, status, well_formed);
CREATE INDEX feedback_by_answer ON feedback (loop, asked_at);
CREATE INDEX exchange_by_arrival ON exchange (loop, stored_at);
CREATE INDEX feedback_corrections ON feedback (loop, stored_at, asked_at) WHERE correction <> '';
CREATE INDEX shadow_by_version ON shadow (loop, version, at);
COMMIT;
PRAGMA user_version = 11;
