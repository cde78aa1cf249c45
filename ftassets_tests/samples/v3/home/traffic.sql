BEGIN TRANSACTION;
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT, well_formed INTEGER
);
INSERT INTO "exchange" VALUES('chatcmpl-c9afbc9f44464de5ac3244028917b6e8','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','79c14209c398a974a3c0ee9c66980117','question 0','[{"role":"user","content":"question 0"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 0',200,1.79600916127761912346e+09,1.26498870013165287673e+01,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-c9671093efec4a79a17e31b149f67b59','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','06baf2317b812812965e721e2e65dbaf','question 1','[{"role":"user","content":"question 1"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 1',200,1.79600916132290077211e+09,1.41851499938638880848e+00,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-f809d9a8d5894a51864c37543d59e4e7','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','d025e7cd9dc83ef97b30692e7939ffb4','question 2','[{"role":"user","content":"question 2"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 2',200,1.7960091613261115551e+09,6.46371500624809414148e+00,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-4f05050b00fd49baa46d106179873725','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','fb5acd39027389b588cbfa7fcbc3dffe','question in a canary','[{"role":"user","content":"question in a canary"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question in a canary',200,1.79600916150560259822e+09,1.06200399750377982854e+00,NULL,7,3,80.0,NULL,0);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT,
    loop TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT '', asked_at REAL NOT NULL DEFAULT 0
);
INSERT INTO "feedback" VALUES(1,'chatcmpl-c9afbc9f44464de5ac3244028917b6e8',1.79600916133485865588e+09,'up',NULL,'support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79600916127761912346e+09);
INSERT INTO "feedback" VALUES(2,'chatcmpl-c9671093efec4a79a17e31b149f67b59',1.79600916133641862865e+09,NULL,'{"intent": "open"}','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79600916132290077211e+09);
CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
CREATE INDEX exchange_by_version ON exchange (loop, version, at, weight, status, well_formed);
CREATE INDEX feedback_by_answer ON feedback (loop, asked_at);
CREATE INDEX feedback_corrections ON feedback (loop, at, asked_at) WHERE correction <> '';
COMMIT;
PRAGMA user_version = 4;
