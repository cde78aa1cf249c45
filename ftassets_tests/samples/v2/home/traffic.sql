BEGIN TRANSACTION;
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT
);
INSERT INTO "exchange" VALUES('chatcmpl-fcfc79f1378643c49bbcd75090dd7abf','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','b2524bdb5e048d1dc3484ac831290eac','question 0','[{"role":"user","content":"question 0"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 0',200,1.79597315225666499132e+09,9.09035999939078465104e-01,NULL,7,3,100.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-79cae54af57849bf858130dcac462d33','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','87ba49a6376e201aa5edf03496feac2e','question 1','[{"role":"user","content":"question 1"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 1',200,1.79597315226465415955e+09,5.59384000098361866548e-01,NULL,7,3,100.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-b03e09285c3e4cf69eb3f55fc78cd675','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','38d810d4013b37a3142b6ab989588679','question 2','[{"role":"user","content":"question 2"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 2',200,1.79597315226651239395e+09,5.92783999763923930004e-01,NULL,7,3,100.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-d6220b7f95374520b0047f4fa239d2a1','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','9f3bd46eef8048f295787c274882ab34','question in a canary','[{"role":"user","content":"question in a canary"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question in a canary',200,1.79597315243632888793e+09,5.70521000099688535556e-01,NULL,7,3,80.0,NULL);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT
);
INSERT INTO "feedback" VALUES(1,'chatcmpl-fcfc79f1378643c49bbcd75090dd7abf',1.79597315226845765118e+09,'up',NULL);
INSERT INTO "feedback" VALUES(2,'chatcmpl-79cae54af57849bf858130dcac462d33',1.79597315226960921284e+09,NULL,'{"intent": "open"}');
CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
COMMIT;
PRAGMA user_version = 3;
