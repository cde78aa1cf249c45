BEGIN TRANSACTION;
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT
);
INSERT INTO "exchange" VALUES('chatcmpl-7075f65ba76d4ed398be80454324f7a1','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','7b567265ce2185b2684e75b8428c2e83','question 0','[{"role":"user","content":"question 0"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 0',200,1.79598565851341438297e+09,1.08287810016918228939e+01,NULL,7,3,100.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-d45d506fca95456b9146e47813eee3b8','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','1b72487c6e2298731d40c59ba60d5fe9','question 1','[{"role":"user","content":"question 1"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 1',200,1.79598565858458757401e+09,1.12407700180483516305e+00,NULL,7,3,100.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-fe40c732ba84471ea93dc3bb70b6e66a','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','48f78126acbcedc65abcb6bad3ba9ad5','question 2','[{"role":"user","content":"question 2"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 2',200,1.79598565859935522083e+09,1.11394200030190404504e+00,NULL,7,3,100.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-6b23b31a48a34c50a1d9c57060809304','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','b2d466bd0d3ffb3954bfdf73d4a204e0','question in a canary','[{"role":"user","content":"question in a canary"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question in a canary',200,1.79598565890230369565e+09,7.6787599937233608216e-01,NULL,7,3,80.0,NULL);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT
);
INSERT INTO "feedback" VALUES(1,'chatcmpl-7075f65ba76d4ed398be80454324f7a1',1.79598565860759711272e+09,'up',NULL);
INSERT INTO "feedback" VALUES(2,'chatcmpl-d45d506fca95456b9146e47813eee3b8',1.79598565862128591542e+09,NULL,'{"intent": "open"}');
CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
COMMIT;
PRAGMA user_version = 3;
