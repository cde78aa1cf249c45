BEGIN TRANSACTION;
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT
);
INSERT INTO "exchange" VALUES('chatcmpl-d17249c9fd484a74b64e181e7cecbbea','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','c7793ebf0ea316a3fe8acff9ea9e01b9','question 0','[{"role":"user","content":"question 0"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 0',200,1.79598461643769359585e+09,9.82195000688079744577e-01,NULL,7,3,100.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-f0782269b509478ab55648f37fb5a557','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','0385d3e6f73d50ab129d52d1aef3e6cd','question 1','[{"role":"user","content":"question 1"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 1',200,1.79598461646183943755e+09,9.46541998928296379745e-01,NULL,7,3,100.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-b3f1ba057eac466ebc83e0bee34488a8','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','d0eea17a0fffabfb8b8c918a53e2a3a2','question 2','[{"role":"user","content":"question 2"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question 2',200,1.79598461646423482891e+09,5.71622998904786072671e-01,NULL,7,3,100.0,NULL);
INSERT INTO "exchange" VALUES('chatcmpl-4c77e1d87fab44d381e24718fb161171','support','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897','bb69e0b328e4a35fc7b475f89a7d51ae','question in a canary','[{"role":"user","content":"question in a canary"}]','d58e9e455edf83e427074c241c33203677ea615082d251dd7aed2659802b1897 question in a canary',200,1.79598461664463734631e+09,9.32191000174498185515e-01,NULL,7,3,80.0,NULL);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT
);
INSERT INTO "feedback" VALUES(1,'chatcmpl-d17249c9fd484a74b64e181e7cecbbea',1.79598461646614670755e+09,'up',NULL);
INSERT INTO "feedback" VALUES(2,'chatcmpl-f0782269b509478ab55648f37fb5a557',1.79598461646729922296e+09,NULL,'{"intent": "open"}');
CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
COMMIT;
PRAGMA user_version = 3;
