BEGIN TRANSACTION;
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT, well_formed INTEGER
);
INSERT INTO "exchange" VALUES('chatcmpl-ef239cd5d713431ab940326150d8ac1c','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','1bcc2c1e2f744ce28fdf463055ba1103','question 0','[{"role":"user","content":"question 0"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 0',200,1.79601028528687191006e+09,1.61102300626225769519e+00,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-d85479c02059450b83ee0229094d8572','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','637d265f23dc6dbdd0e4387121405492','question 1','[{"role":"user","content":"question 1"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 1',200,1796010285.3316,2.73086300148861482739e+00,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-0092d2acdb0448c3b66b04cae7a07c81','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','9e24bf1fcaad3135697e7aafab18e720','question 2','[{"role":"user","content":"question 2"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 2',200,1.79601028533612227435e+09,7.15056994522456079721e-01,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-309d8a0054574ad5811f32064a855609','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','9a93f68789ed102f4b0dd0fe68617251','question in a canary','[{"role":"user","content":"question in a canary"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question in a canary',200,1.79601028552261972421e+09,1.81142200017347931861e+00,NULL,7,3,80.0,NULL,0);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT,
    loop TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT '', asked_at REAL NOT NULL DEFAULT 0, comment TEXT
);
INSERT INTO "feedback" VALUES(1,'chatcmpl-ef239cd5d713431ab940326150d8ac1c',1.79601028533829450606e+09,'up',NULL,'support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79601028528687191006e+09,'opens the wrong door');
INSERT INTO "feedback" VALUES(2,'chatcmpl-d85479c02059450b83ee0229094d8572',1.79601028533963418009e+09,NULL,'{"intent": "open"}','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1796010285.3316,NULL);
CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
CREATE INDEX exchange_by_version ON exchange (loop, version, at, weight, status, well_formed);
CREATE INDEX feedback_by_answer ON feedback (loop, asked_at);
CREATE INDEX feedback_corrections ON feedback (loop, at, asked_at) WHERE correction <> '';
COMMIT;
PRAGMA user_version = 5;
