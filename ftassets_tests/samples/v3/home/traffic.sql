BEGIN TRANSACTION;
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT, well_formed INTEGER
);
INSERT INTO "exchange" VALUES('chatcmpl-a7b1308a25e04cdd9c9dde7c13b9df0e','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','6750fce81d50e99c9115c6dfd1b6f970','question 0','[{"role":"user","content":"question 0"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 0',200,1.79598822857418942457e+09,3.43098699886468239128e+00,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-7a940befae714a7da4429b4fc4650c0f','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','feba841f9a9a22e24d14dd90aa56eaa0','question 1','[{"role":"user","content":"question 1"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 1',200,1.79598822862773394581e+09,1.02453799991053529083e+00,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-28e35e85e9af4ee39a27216fd0a7d2ec','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','178f8f5afe05043e32cc7efc30a50baf','question 2','[{"role":"user","content":"question 2"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 2',200,1.79598822863232159613e+09,6.73023998388089239597e-01,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-7952036af09943499a35f86a9c45be20','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','4ec160bb36aa498c423ab57462cf20d3','question in a canary','[{"role":"user","content":"question in a canary"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question in a canary',200,1.79598822886278200149e+09,9.77116997091798111796e-01,NULL,7,3,80.0,NULL,0);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT,
    loop TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT '', asked_at REAL NOT NULL DEFAULT 0
);
INSERT INTO "feedback" VALUES(1,'chatcmpl-a7b1308a25e04cdd9c9dde7c13b9df0e',1.79598822863443517683e+09,'up',NULL,'support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79598822857418942457e+09);
INSERT INTO "feedback" VALUES(2,'chatcmpl-7a940befae714a7da4429b4fc4650c0f',1.79598822863580226891e+09,NULL,'{"intent": "open"}','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79598822862773394581e+09);
CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
CREATE INDEX exchange_by_version ON exchange (loop, version, at, weight, status, well_formed);
CREATE INDEX feedback_by_answer ON feedback (loop, asked_at);
CREATE INDEX feedback_corrections ON feedback (loop, at, asked_at) WHERE correction <> '';
COMMIT;
PRAGMA user_version = 4;
