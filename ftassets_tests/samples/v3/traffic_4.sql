BEGIN TRANSACTION;
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT, well_formed INTEGER
);
INSERT INTO "exchange" VALUES('chatcmpl-28031eff76c44dc9a64e33dcb48be8f7','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','38332fda5504a739cb4ec227a9b3ab6d','question 0','[{"role":"user","content":"question 0"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 0',200,1.79599756890664243695e+09,1.15032500252709724009e+00,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-60882b893c434a66a948179bc3793fbd','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','56c08d97925b1a7ad533d6344a0ab57c','question 1','[{"role":"user","content":"question 1"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 1',200,1.79599756900429844853e+09,3.39057800010778,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-1b92630bd3b14ebcb610b707d5865b99','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','c4fce4f56feae5fc6e3b22f08e0bf41b','question 2','[{"role":"user","content":"question 2"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 2',200,1.79599756901559352872e+09,8.54043999424902722239e-01,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-5febed3a89c7435fa59d58cdd287c6c8','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','133cf288117f44b2adde85e572e41f4b','question in a canary','[{"role":"user","content":"question in a canary"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question in a canary',200,1.79599756935348677639e+09,1.6512430011061951518e+00,NULL,7,3,80.0,NULL,0);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT,
    loop TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT '', asked_at REAL NOT NULL DEFAULT 0
);
INSERT INTO "feedback" VALUES(1,'chatcmpl-28031eff76c44dc9a64e33dcb48be8f7',1.79599756901818394662e+09,'up',NULL,'support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79599756890664243695e+09);
INSERT INTO "feedback" VALUES(2,'chatcmpl-60882b893c434a66a948179bc3793fbd',1.79599756902154588699e+09,NULL,'{"intent": "open"}','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79599756900429844853e+09);
CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
CREATE INDEX exchange_by_version ON exchange (loop, version, at, weight, status, well_formed);
CREATE INDEX feedback_by_answer ON feedback (loop, asked_at);
CREATE INDEX feedback_corrections ON feedback (loop, at, asked_at) WHERE correction <> '';
COMMIT;
PRAGMA user_version = 4;
