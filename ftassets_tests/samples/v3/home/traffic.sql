BEGIN TRANSACTION;
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT, well_formed INTEGER
);
INSERT INTO "exchange" VALUES('chatcmpl-5e9a1ea459f0489898a64d77bec06256','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','ba52a98b949bd01902c7f2a4ce88ac06','question 0','[{"role":"user","content":"question 0"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 0',200,1.79600802638810515404e+09,4.62488799530547112226e+00,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-e734df12961f41ba8ba5c6ea6b33e157','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','305e1fd18ebcb114574017e29816cb89','question 1','[{"role":"user","content":"question 1"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 1',200,1.7960080264661047459e+09,2.7478980045998468995e+00,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-ee8465839e9a43d69896b91f9aea9036','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','7ecb3bf0b214642929f215b25063c21a','question 2','[{"role":"user","content":"question 2"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 2',200,1.79600802647983241082e+09,1.25131700042402371764e+00,NULL,7,3,100.0,NULL,0);
INSERT INTO "exchange" VALUES('chatcmpl-e9fa6832a7644c929ddbd35ebcd8c7ce','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','4d58df87157086f23173baaeed8d0836','question in a canary','[{"role":"user","content":"question in a canary"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question in a canary',200,1.79600802669890117647e+09,0.799702997028362,NULL,7,3,80.0,NULL,0);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT,
    loop TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT '', asked_at REAL NOT NULL DEFAULT 0
);
INSERT INTO "feedback" VALUES(1,'chatcmpl-5e9a1ea459f0489898a64d77bec06256',1.79600802648310923573e+09,'up',NULL,'support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.79600802638810515404e+09);
INSERT INTO "feedback" VALUES(2,'chatcmpl-e734df12961f41ba8ba5c6ea6b33e157',1.79600802648770284655e+09,NULL,'{"intent": "open"}','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897',1.7960080264661047459e+09);
CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
CREATE INDEX exchange_by_version ON exchange (loop, version, at, weight, status, well_formed);
CREATE INDEX feedback_by_answer ON feedback (loop, asked_at);
CREATE INDEX feedback_corrections ON feedback (loop, at, asked_at) WHERE correction <> '';
COMMIT;
PRAGMA user_version = 4;
