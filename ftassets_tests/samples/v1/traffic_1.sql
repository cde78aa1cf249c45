BEGIN TRANSACTION;
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, share REAL NOT NULL, error TEXT
);
INSERT INTO "exchange" VALUES('chatcmpl-060f876e8014465284170cd51c0cd37c','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','ad2809f29ca1f6aebdc4600b3d622be3','question 0','[{"role":"user","content":"question 0"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 0',200,1.79597310013146114352e+09,1.57824400002937181852e+00,NULL,7,3,1.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-493ecdfdd9ce4deb8729224ae2251865','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','a575c34bcc56a856f3699868b7f6d515','question 1','[{"role":"user","content":"question 1"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 1',200,1.79597310016489076613e+09,8.87003000116237672045e-01,NULL,7,3,1.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-8a0f81c1a24d4f78bce2460076edb840','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','685cee791d3b2711435fae2047f11187','question 2','[{"role":"user","content":"question 2"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 2',200,1.7959731001693029404e+09,0.752502000068489,NULL,7,3,1.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-5658b290dd584a2c9500064622110ec7','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','d4a6897b85f2b35300a139a435ea9fe5','question in a canary','[{"role":"user","content":"question in a canary"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question in a canary',200,1.79597310034565711017e+09,5.81487000090419314801e-01,NULL,7,3,0.8,NULL);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT
);
INSERT INTO "feedback" VALUES(1,'chatcmpl-060f876e8014465284170cd51c0cd37c',1.79597310017177939412e+09,'up',NULL);
INSERT INTO "feedback" VALUES(2,'chatcmpl-493ecdfdd9ce4deb8729224ae2251865',1.79597310017530488969e+09,NULL,'{"intent": "open"}');
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
COMMIT;
PRAGMA user_version = 1;
