BEGIN TRANSACTION;
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT, well_formed INTEGER
);
INSERT INTO "exchange" VALUES('chatcmpl-4e9d536a37704b6699054c5faf9df1b3','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','a25970529fc2330dcb4b564ddfee9c52','question 0','[{"role":"user","content":"question 0"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 0',200,1.79598884580398201939e+09,1.01590499980375170707e+00,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-c7363bfa2bd5424187eaefe6eded2471','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','50dafad7de4833b23bd650d236b9e3b2','question 1','[{"role":"user","content":"question 1"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 1',200,1.79598884581810736655e+09,8.07814998552203178405e-01,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-835928538b22442db1b52280e08bae38','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','67fbf1c93accac3575eb4932cc48964c','question 2','[{"role":"user","content":"question 2"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 2',200,1.79598884584050917621e+09,0.96490900250501,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-df4a4adba77b4a968bfc84ba97cb858e','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','9dc29cbb2032c6720d504a035f69c9e1','question in a canary','[{"role":"user","content":"question in a canary"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question in a canary',200,1.79598884620531225198e+09,3.20050400114269,NULL,7,3,80.0,NULL,0);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT,
    loop TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT '', asked_at REAL NOT NULL DEFAULT 0
);
INSERT INTO "feedback" VALUES(1,'chatcmpl-4e9d536a37704b6699054c5faf9df1b3',1.79598884584414243701e+09,'up',NULL,'support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79598884580398201939e+09);
INSERT INTO "feedback" VALUES(2,'chatcmpl-c7363bfa2bd5424187eaefe6eded2471',1.79598884584675717356e+09,NULL,'{"intent": "open"}','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79598884581810736655e+09);
CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
CREATE INDEX exchange_by_version ON exchange (loop, version, at, weight, status, well_formed);
CREATE INDEX feedback_by_answer ON feedback (loop, asked_at);
CREATE INDEX feedback_corrections ON feedback (loop, at, asked_at) WHERE correction <> '';
COMMIT;
PRAGMA user_version = 4;
