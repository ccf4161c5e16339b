--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: _sqlx_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);


--
-- Name: audit_checkpoint; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_checkpoint (
    log text NOT NULL COLLATE pg_catalog."C",
    size bigint NOT NULL,
    note text NOT NULL,
    "time" bigint NOT NULL
);


--
-- Name: audit_head; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_head (
    log text NOT NULL COLLATE pg_catalog."C",
    size bigint NOT NULL,
    first bigint NOT NULL,
    first_chain bytea NOT NULL,
    chain bytea NOT NULL,
    range_hashes bytea NOT NULL,
    earliest bigint,
    latest bigint
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');


--
-- Name: audit_indexed; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_indexed (
    log text NOT NULL COLLATE pg_catalog."C",
    segments bigint NOT NULL
);


--
-- Name: audit_node; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_node (
    log text NOT NULL COLLATE pg_catalog."C",
    level bigint NOT NULL,
    idx bigint NOT NULL,
    hash bytea NOT NULL,
    earliest bigint,
    latest bigint
);


--
-- Name: audit_posting; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_posting (
    log text NOT NULL COLLATE pg_catalog."C",
    segment bigint NOT NULL,
    field text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL COLLATE pg_catalog."C",
    places text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: audit_record; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_record (
    log text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    id uuid NOT NULL,
    "time" bigint NOT NULL,
    actor text NOT NULL COLLATE pg_catalog."C",
    action text NOT NULL COLLATE pg_catalog."C",
    kind text COLLATE pg_catalog."C",
    namespace text COLLATE pg_catalog."C",
    name text COLLATE pg_catalog."C",
    outcome text NOT NULL COLLATE pg_catalog."C",
    completes uuid,
    hash bytea NOT NULL,
    chain bytea NOT NULL,
    body text NOT NULL COLLATE pg_catalog."C"
);


--
-- Data for Name: _sqlx_migrations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public._sqlx_migrations VALUES
	(1, 'audit', '2026-11-30 00:34:16.940321+00', true, '\x364e2f02633355213df1e4fd148851d9a8cd9ab8205c217bd0ddef8a75e3c1e895e3f629d3e916a606b3840546becef2', 39169720),
	(2, 'audit postings', '2026-11-30 00:34:16.985892+00', true, '\x18b7bc5a9c5e0fbc00dd29660de5eb454ed0f016eb46c50beb4ac9bfb233a7dc79bbb02beb72e6d914e8430c319fca80', 18880173);


--
-- Data for Name: audit_checkpoint; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit_checkpoint VALUES
	('team-a', 17, 'eventcenter/audit/team-a
17
1SbYxQ/7MZUhZOa6RmJhMGISmOPImrj2S+5kLMeKlqI=

— eventcenter/audit/team-a uJRzrAITL6P60YGgpu2Quw4EDJU/C3dU6qe2PNVCNJv0l1q7KpRHBSh15GGyCYTnkx3JWAEqFnZULeQL8rXEXEf/JAM=
', 1790001092123456),
	('team-a', 27, 'eventcenter/audit/team-a
27
0o+jdDlqRJoEYLq3yix6OfsvDSLmfmuNw+H73rL8WA4=

— eventcenter/audit/team-a uJRzrAdls2m8EdGU2H8hAVRWBt15E7AGXAXBXpTQS84M8PzlifespE7HNeegMnsx1xtDX+EXT7LJBF/07MtkPZoUTwU=
', 1790001103123456),
	('shop', 141, 'eventcenter/audit/shop
141
F1w41ZC7u2yjs/2zp+70liW39Dj57JK5r0gCpah7kXw=

— eventcenter/audit/shop U1zNHxTWDK9Qe34mekaJiN5n2CBeLsf1J4FfqjhAr9SA55MfUY1UZUgKGohZYMSXWxP7a4SS/c2+Sumk7EZ1gofrdgI=
', 1790001248123456),
	('shop', 280, 'eventcenter/audit/shop
280
0tM4KWO/P2RSfuWG0AUXnquLu95gFuQUG/P1kFgqXdo=

— eventcenter/audit/shop U1zNH/P2rE47N29fkjLrG1H5uXRyviDgOPRgM5lFkUsIkp7lQcRPV0GBxrirO/ZIxvqb9a9LlhIJM97hRWjq/SFDDwU=
', 1790001388123456);


--
-- Data for Name: audit_head; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit_head VALUES
	('shop', 281, 256, '\x3be56fd32c9cc78234a8238817fb3e983859dd0a59f8137d3ed95ed07104e296', '\xbc24267d8aeb12cfb2b1bd60b59b910de8ba817137923ca0bc4fed5665f0e3f6', '\x4e42adb7b5d7750d752576737f397bbd7b8e8d0e7067edbb831ea567c6194637472b6424cfc7e4e61925c81ecc4d19ddd0b4fa22ae7ad00306205e28b7ac5ed46585ae1c059cc9c0b650bd8acba18ceb956331b7bb5c6ae04f96a4b75ae22986d954b67deef90f76527e1caa080d8f845f4696cf880e35cd555d4fa2906048c6', 1790001364123456, 1790001389123456),
	('team-a', 27, 0, '\x0000000000000000000000000000000000000000000000000000000000000000', '\x51294933f07c39c2711a250a77cfe86416eb836aa98fa1adec15cd1ec9db545b', '\xe7bbce3950b84573978ac8fa18e92377610f03ed04ef9682fa2b475480e0a1a986f210b88310d942be4efcb41e0bb503cc65cca6caad669e397b06050d23c983e9ba0900d8972732a2460bbd7db696a4ebf81cc2de03158110fa92841e2822f6e7e829345ccdd46be7857ba8d022700be245b9c800d6d35f823fc180b57f68b7', 1790000919123456, 1790001102123456),
	('_platform', 3, 0, '\x0000000000000000000000000000000000000000000000000000000000000000', '\x5ce958fb902c8738d486b10b66128d46ae2521210d6eed074157aa9dd674e5a8', '\x0707836857b3adf6d1c63c026a98955ccb59f0395c082af657770ddf1ca23897af8fd6de8bb626a44e989a95d55814910112767959e7aa06e5bd498eb1facd6c', 1790001104123456, 1790001106123456);


--
-- Data for Name: audit_indexed; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: audit_node; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit_node VALUES
	('shop', 8, 0, '\x4e42adb7b5d7750d752576737f397bbd7b8e8d0e7067edbb831ea567c6194637', 1790001107123456, 1790001363123456);


--
-- Data for Name: audit_posting; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: audit_record; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit_record VALUES
	('team-a', 0, '01a0c45e-7253-7297-87a5-af81a4dff1ed', 1790000919123456, 'alice', 'Create', 'EventTopic', 'shop', 'orders-0', 'Allowed', NULL, '\x86186a59f2c718a632400596604184f3f2b7f97961d98c9dee2c0762496d9150', '\x5ba37ed907196eb652af686cc5b4b0699f98d2be59eac913d8699129913cbe3b', '{"action":"Create","actor":{"groups":["team-a","system:authenticated"],"user":"alice","via":"Admission"},"change":{"patch":[{"op":"test","path":"/spec/config/a.password","value":"[redacted]"},{"op":"replace","path":"/spec/config/a.password","value":"[redacted, changed]"},{"op":"test","path":"/spec/config/e","value":1.5e-7},{"op":"replace","path":"/spec/config/e","value":1e+30},{"op":"add","path":"/spec/config/𐀀","value":null},{"op":"test","path":"/spec/config/big","value":123456789012345680},{"op":"remove","path":"/spec/config/big"},{"op":"test","path":"/spec/partitions","value":3},{"op":"replace","path":"/spec/partitions","value":6}]},"id":"01a0c45e-7253-7297-87a5-af81a4dff1ed","message":"50% of \"0\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","fieldManager":"kubectl-client-side-apply","instance":"v0"},"outcome":"Allowed","seq":0,"target":{"kind":"EventTopic","name":"orders-0","namespace":"shop","uid":"6f1c2a52-0000-4000-8000-000000000000"},"tenant":"team-a","time":"2026-09-21T14:28:39.123456Z"}'),
	('team-a', 1, '01a0c460-d79b-702b-a91a-0b9b99f25568', 1790001076123456, 'bob@example.com', 'Update', 'Tenant', NULL, 'orders-1', 'Denied', NULL, '\xb10abfb3473965630411ca7bd3abce72a0295a7650569de2334fe85c8b2ecd51', '\x8a3469408dd3138e04c986295d09bea8cbb447a052f16f2f1733d57b5cb84363', '{"action":"Update","actor":{"user":"bob@example.com","via":"Controllers"},"change":{"after":"28f046e469fc112529695c4c578c4e487db6dfe7b0d2ca7cb52fd6c10b7361e1","paths":["/spec/b~1~0","/spec/description"]},"id":"01a0c460-d79b-702b-a91a-0b9b99f25568","message":"50% of \"1\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","instance":"v0"},"outcome":"Denied","reason":"Forbidden","requestId":"request-1","seq":1,"target":{"kind":"Tenant","name":"orders-1"},"tenant":"team-a","time":"2026-09-21T14:31:16.123456Z","traceId":"4bf92f3577b34da6a3ce929d0e0e4736"}'),
	('team-a', 2, '01a0c460-db83-73b9-a615-011add0ee903', 1790001077123456, 'system:serviceaccount:ci:deployer', 'Delete', 'ChangeApproval', 'shop', 'orders-2', 'Started', NULL, '\x04b96ee370fdd32cfe0f302a0deef90af69892088571085987478bbf2e4286c5', '\x49b3b98c9d5789fa35f1467e43c8cbfcedf793a0396ae9c690ac5c92b2d7318b', '{"action":"Delete","actor":{"groups":["team-a","system:authenticated"],"user":"system:serviceaccount:ci:deployer","via":"Api"},"id":"01a0c460-db83-73b9-a615-011add0ee903","message":"50% of \"2\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"address":"192.0.2.7","component":"webhook","instance":"v0","userAgent":"eventctl/0.1"},"outcome":"Started","seq":2,"target":{"kind":"ChangeApproval","name":"orders-2","namespace":"shop","uid":"6f1c2a52-0000-4000-8000-000000000002"},"tenant":"team-a","time":"2026-09-21T14:31:17.123456Z"}'),
	('team-a', 3, '01a0c460-df6b-70ec-948b-e9f77ab2d696', 1790001078123456, 'alice', 'TakeEffect', 'EventTopic', 'shop', 'orders-3', 'Succeeded', NULL, '\x0a2709b861151ff915e18a1df35cfed88d3ccace1dc3f2f3f53084a311f4bb7d', '\x5087e2cab312bf9cb51ac461826400e68ee4ed75986200a3f52b50086a92c170', '{"action":"TakeEffect","actor":{"user":"alice","via":"Admission"},"id":"01a0c460-df6b-70ec-948b-e9f77ab2d696","origin":{"component":"webhook","fieldManager":"kubectl-client-side-apply","instance":"v0"},"outcome":"Succeeded","requestId":"request-3","seq":3,"target":{"kind":"EventTopic","name":"orders-3","namespace":"shop"},"tenant":"team-a","time":"2026-09-21T14:31:18.123456Z"}'),
	('team-a', 4, '01a0c460-e353-76f3-a77c-0f90bb8950e2', 1790001079123456, 'bob@example.com', 'BreakGlass', 'Tenant', NULL, 'orders-4', 'Failed', NULL, '\xd5a79a60dd8f7e9d64d15965439aefe510ed698c3c16b5993169162876aae5f0', '\xaedddd461b4786c83028a370e233b0b5d9786beee4ed2cb363e059ce6bf66f05', '{"action":"BreakGlass","actor":{"groups":["team-a","system:authenticated"],"user":"bob@example.com","via":"Controllers"},"change":{"patch":[{"op":"test","path":"/spec/config/a.password","value":"[redacted]"},{"op":"replace","path":"/spec/config/a.password","value":"[redacted, changed]"},{"op":"test","path":"/spec/config/e","value":1.5e-7},{"op":"replace","path":"/spec/config/e","value":1e+30},{"op":"add","path":"/spec/config/𐀀","value":null},{"op":"test","path":"/spec/config/big","value":123456789012345680},{"op":"remove","path":"/spec/config/big"},{"op":"test","path":"/spec/partitions","value":3},{"op":"replace","path":"/spec/partitions","value":6}]},"id":"01a0c460-e353-76f3-a77c-0f90bb8950e2","message":"50% of \"4\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","instance":"v0"},"outcome":"Failed","reason":"Forbidden","seq":4,"target":{"kind":"Tenant","name":"orders-4","uid":"6f1c2a52-0000-4000-8000-000000000004"},"tenant":"team-a","time":"2026-09-21T14:31:19.123456Z"}'),
	('team-a', 5, '01a0c460-e73b-76fd-a163-6f2e36428e3e', 1790001080123456, 'system:serviceaccount:ci:deployer', 'RejectChange', 'ChangeApproval', 'shop', 'orders-0', 'Allowed', NULL, '\x38fa615fbed93212674b5150ebeb145b393d090cf9a4872448c69a38970cd875', '\xc23c8b36fb96f5a0a45f1a45fe85ba2e78ed933fd8366fab2a00b7a57332aca8', '{"action":"RejectChange","actor":{"user":"system:serviceaccount:ci:deployer","via":"Api"},"change":{"after":"28f046e469fc112529695c4c578c4e487db6dfe7b0d2ca7cb52fd6c10b7361e1","paths":["/spec/b~1~0","/spec/description"]},"id":"01a0c460-e73b-76fd-a163-6f2e36428e3e","message":"50% of \"5\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"address":"192.0.2.7","component":"webhook","instance":"v0","userAgent":"eventctl/0.1"},"outcome":"Allowed","requestId":"request-5","seq":5,"target":{"kind":"ChangeApproval","name":"orders-0","namespace":"shop"},"tenant":"team-a","time":"2026-09-21T14:31:20.123456Z"}'),
	('team-a', 6, '01a0c460-eb23-7188-9b01-61ef3fc0f554', 1790001081123456, 'alice', 'CreateTopic', NULL, NULL, NULL, 'Denied', NULL, '\x47cb9654be674d8a59d1837e12cad4853a91e5852fe1ca5714c6f24154e89286', '\x616038ace7ef4085194af180bdebf5943543c33ff4b2f3fc5f5d1daef4312a9d', '{"action":"CreateTopic","actor":{"groups":["team-a","system:authenticated"],"user":"alice","via":"Admission"},"id":"01a0c460-eb23-7188-9b01-61ef3fc0f554","message":"50% of \"6\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","fieldManager":"kubectl-client-side-apply","instance":"v0"},"outcome":"Denied","reason":"Forbidden","seq":6,"tenant":"team-a","time":"2026-09-21T14:31:21.123456Z","traceId":"4bf92f3577b34da6a3ce929d0e0e4736"}'),
	('team-a', 7, '01a0c460-ef0b-7018-86fd-59b302da0fbf', 1790001082123456, 'bob@example.com', 'AddPartitions', 'Tenant', NULL, 'orders-2', 'Started', NULL, '\x0492f749d5f425a8d52927167e792f47b46f64ba6f8c9ee78264a04f5c1d9c03', '\x5aded216633bf54abf106da393f879f8f97d4d2cae85ec8b9d6052d5bb824326', '{"action":"AddPartitions","actor":{"user":"bob@example.com","via":"Controllers"},"id":"01a0c460-ef0b-7018-86fd-59b302da0fbf","origin":{"component":"webhook","instance":"v0"},"outcome":"Started","requestId":"request-7","seq":7,"target":{"kind":"Tenant","name":"orders-2"},"tenant":"team-a","time":"2026-09-21T14:31:22.123456Z"}'),
	('team-a', 8, '01a0c460-f2f3-756c-86dc-fbd2b047b402', 1790001083123456, 'bob@example.com', 'AddPartitions', 'Tenant', NULL, 'orders-2', 'Failed', '01a0c460-ef0b-7018-86fd-59b302da0fbf', '\xfd93770a068e1ceebc4eff9053611f5e9387754b00107bcf852d339bba5cbde9', '\x1a540d6fadc4b18751a7ee3eba1398cb248d4d78d1822df23efb620369475bfb', '{"action":"AddPartitions","actor":{"user":"bob@example.com","via":"Controllers"},"completes":"01a0c460-ef0b-7018-86fd-59b302da0fbf","id":"01a0c460-f2f3-756c-86dc-fbd2b047b402","message":"no answer","origin":{"component":"webhook","instance":"v0"},"outcome":"Failed","reason":"KafkaUnavailable","requestId":"request-7","seq":8,"target":{"kind":"Tenant","name":"orders-2"},"tenant":"team-a","time":"2026-09-21T14:31:23.123456Z"}'),
	('team-a', 12, '01a0c461-0293-7393-821b-1a6620dd2009', 1790001087123456, 'system:serviceaccount:ci:deployer', 'DeleteAcls', 'ChangeApproval', 'shop', 'orders-1', 'Denied', NULL, '\xdabc75c1943b9917946adf14c53050519fc93b21752b3f7892ef773ca3600fe2', '\xb94dafc7d069c91821aaf85afb9627db5e5964378a94909e717eb30f9d8d95d1', '{"action":"DeleteAcls","actor":{"user":"system:serviceaccount:ci:deployer","via":"Api"},"id":"01a0c461-0293-7393-821b-1a6620dd2009","origin":{"address":"192.0.2.7","component":"webhook","instance":"v0","userAgent":"eventctl/0.1"},"outcome":"Denied","reason":"Forbidden","requestId":"request-11","seq":12,"target":{"kind":"ChangeApproval","name":"orders-1","namespace":"shop"},"tenant":"team-a","time":"2026-09-21T14:31:27.123456Z","traceId":"4bf92f3577b34da6a3ce929d0e0e4736"}'),
	('team-a', 9, '01a0c460-f6db-7351-964f-11ff71219386', 1790001084123456, 'system:serviceaccount:ci:deployer', 'AlterConfig', 'ChangeApproval', 'shop', 'orders-3', 'Succeeded', NULL, '\x24195645522697ee12a8031cb5258ea645407b2e7460474340a18452d95c2b22', '\x277c3448bf87afb5e5ec6587dd4cd84f9ff788e1b7c092a8156e865b558471cb', '{"action":"AlterConfig","actor":{"groups":["team-a","system:authenticated"],"user":"system:serviceaccount:ci:deployer","via":"Api"},"change":{"patch":[{"op":"test","path":"/spec/config/a.password","value":"[redacted]"},{"op":"replace","path":"/spec/config/a.password","value":"[redacted, changed]"},{"op":"test","path":"/spec/config/e","value":1.5e-7},{"op":"replace","path":"/spec/config/e","value":1e+30},{"op":"add","path":"/spec/config/𐀀","value":null},{"op":"test","path":"/spec/config/big","value":123456789012345680},{"op":"remove","path":"/spec/config/big"},{"op":"test","path":"/spec/partitions","value":3},{"op":"replace","path":"/spec/partitions","value":6}]},"id":"01a0c460-f6db-7351-964f-11ff71219386","message":"50% of \"8\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"address":"192.0.2.7","component":"webhook","instance":"v0","userAgent":"eventctl/0.1"},"outcome":"Succeeded","seq":9,"target":{"kind":"ChangeApproval","name":"orders-3","namespace":"shop","uid":"6f1c2a52-0000-4000-8000-000000000008"},"tenant":"team-a","time":"2026-09-21T14:31:24.123456Z"}'),
	('team-a', 10, '01a0c460-fac3-77ff-99bf-c5617589f025', 1790001085123456, 'alice', 'DeleteTopic', 'EventTopic', 'shop', 'orders-4', 'Failed', NULL, '\xb46432c20a8c7db4f38ca9b18bb9fa103532954fbe46e2640045c89cee338906', '\x5934e890da65ca483c54c2efa98b5508891b3f74f67953800911eb48078fe5a5', '{"action":"DeleteTopic","actor":{"user":"alice","via":"Admission"},"change":{"after":"28f046e469fc112529695c4c578c4e487db6dfe7b0d2ca7cb52fd6c10b7361e1","paths":["/spec/b~1~0","/spec/description"]},"id":"01a0c460-fac3-77ff-99bf-c5617589f025","message":"50% of \"9\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","fieldManager":"kubectl-client-side-apply","instance":"v0"},"outcome":"Failed","reason":"Forbidden","requestId":"request-9","seq":10,"target":{"kind":"EventTopic","name":"orders-4","namespace":"shop"},"tenant":"team-a","time":"2026-09-21T14:31:25.123456Z"}'),
	('team-a', 11, '01a0c460-feab-712d-aa55-c27040229f18', 1790001086123456, 'bob@example.com', 'CreateAcls', 'Tenant', NULL, 'orders-0', 'Allowed', NULL, '\xbe2fbcc956788ccc726530d2cbf265a1254034588695dd738f57a373657e40a5', '\x3f2305581995eaaa2146998779a65120d7ae98dfe5b9f62b9756cfd99908aebf', '{"action":"CreateAcls","actor":{"groups":["team-a","system:authenticated"],"user":"bob@example.com","via":"Controllers"},"id":"01a0c460-feab-712d-aa55-c27040229f18","message":"50% of \"10\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":11,"target":{"kind":"Tenant","name":"orders-0","uid":"6f1c2a52-0000-4000-8000-00000000000a"},"tenant":"team-a","time":"2026-09-21T14:31:26.123456Z"}'),
	('team-a', 14, '01a0c461-0a63-737e-b840-1531ffbf98f0', 1790001089123456, 'bob@example.com', 'AddFinalizer', NULL, NULL, NULL, 'Succeeded', NULL, '\x159820f3a7d830cc6319f6b50332de0cdaeb7d6ef633fb81d0fd52df59fa704e', '\x79967dae7ff56c0c38e717b549a0e47b17b4d6bd2cebd1c2cc363a287e113886', '{"action":"AddFinalizer","actor":{"user":"bob@example.com","via":"Controllers"},"change":{"after":"28f046e469fc112529695c4c578c4e487db6dfe7b0d2ca7cb52fd6c10b7361e1","paths":["/spec/b~1~0","/spec/description"]},"id":"01a0c461-0a63-737e-b840-1531ffbf98f0","message":"50% of \"13\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","instance":"v0"},"outcome":"Succeeded","requestId":"request-13","seq":14,"tenant":"team-a","time":"2026-09-21T14:31:29.123456Z"}'),
	('team-a', 16, '01a0c461-1233-7455-96be-f9c4459cf781', 1790001091123456, 'alice', 'KeepRevision', 'EventTopic', 'shop', 'orders-0', 'Allowed', NULL, '\x6f91ce33ff8ce682e9dc6b6b9e9f75d4999df724676c5dc519d85e78d4764bad', '\x8db8519f24cfada17563ab14287a211f880d3b2c4412a13fd19d5c1b4e81ccad', '{"action":"KeepRevision","actor":{"user":"alice","via":"Admission"},"id":"01a0c461-1233-7455-96be-f9c4459cf781","origin":{"component":"webhook","fieldManager":"kubectl-client-side-apply","instance":"v0"},"outcome":"Allowed","requestId":"request-15","seq":16,"target":{"kind":"EventTopic","name":"orders-0","namespace":"shop"},"tenant":"team-a","time":"2026-09-21T14:31:31.123456Z"}'),
	('team-a', 17, '01a0c461-1a03-74db-941e-3dc21a7a5b24', 1790001093123456, 'bob@example.com', 'ForgetRevision', 'Tenant', NULL, 'orders-1', 'Denied', NULL, '\x364dae41a0f60cefaea5da9882434eb6e11ea170c134d9179cf875f3fabd5a4c', '\x8093383a1131ea8e9caf50dcaa0becbee230531e1ed77eeaab616f9c76ce005a', '{"action":"ForgetRevision","actor":{"groups":["team-a","system:authenticated"],"user":"bob@example.com","via":"Controllers"},"change":{"patch":[{"op":"test","path":"/spec/config/a.password","value":"[redacted]"},{"op":"replace","path":"/spec/config/a.password","value":"[redacted, changed]"},{"op":"test","path":"/spec/config/e","value":1.5e-7},{"op":"replace","path":"/spec/config/e","value":1e+30},{"op":"add","path":"/spec/config/𐀀","value":null},{"op":"test","path":"/spec/config/big","value":123456789012345680},{"op":"remove","path":"/spec/config/big"},{"op":"test","path":"/spec/partitions","value":3},{"op":"replace","path":"/spec/partitions","value":6}]},"id":"01a0c461-1a03-74db-941e-3dc21a7a5b24","message":"50% of \"16\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","instance":"v0"},"outcome":"Denied","reason":"Forbidden","seq":17,"target":{"kind":"Tenant","name":"orders-1","uid":"6f1c2a52-0000-4000-8000-000000000010"},"tenant":"team-a","time":"2026-09-21T14:31:33.123456Z","traceId":"4bf92f3577b34da6a3ce929d0e0e4736"}'),
	('team-a', 19, '01a0c461-21d3-75d0-8ebe-e1bdabc21c8f', 1790001095123456, 'system:serviceaccount:ci:deployer', 'RenewCertificate', 'ChangeApproval', 'shop', 'orders-2', 'Failed', '01a0c461-1deb-7215-9e61-f6ad37464b31', '\x00356e39deed22ec7f3be00e3ddf4d8cf8fbfa5bd88bf7559e1fb1413d698be2', '\xffc1268aa3d5ea81cfffa12ed665692584861ccfcba4a6f534a3e10b58243f6a', '{"action":"RenewCertificate","actor":{"user":"system:serviceaccount:ci:deployer","via":"Api"},"completes":"01a0c461-1deb-7215-9e61-f6ad37464b31","id":"01a0c461-21d3-75d0-8ebe-e1bdabc21c8f","message":"no answer","origin":{"address":"192.0.2.7","component":"webhook","instance":"v0","userAgent":"eventctl/0.1"},"outcome":"Failed","reason":"KafkaUnavailable","requestId":"request-17","seq":19,"target":{"kind":"ChangeApproval","name":"orders-2","namespace":"shop"},"tenant":"team-a","time":"2026-09-21T14:31:35.123456Z"}'),
	('team-a', 21, '01a0c461-29a3-75d8-b1e6-07be4dcf9582', 1790001097123456, 'bob@example.com', 'Lead', 'Tenant', NULL, 'orders-4', 'Failed', NULL, '\x00042929c01e035af1e7c1fa6a9dd2ce285a33b4ba527ff06d6a6c8497651446', '\xa724b59f8235e6a8addac0b8b7c2c618b7a409aa83a799369fb6e13513523e5f', '{"action":"Lead","actor":{"user":"bob@example.com","via":"Controllers"},"id":"01a0c461-29a3-75d8-b1e6-07be4dcf9582","origin":{"component":"webhook","instance":"v0"},"outcome":"Failed","reason":"Forbidden","requestId":"request-19","seq":21,"target":{"kind":"Tenant","name":"orders-4"},"tenant":"team-a","time":"2026-09-21T14:31:37.123456Z"}'),
	('team-a', 24, '01a0c461-355b-72ab-bb24-c5b1f7d5d98c', 1790001100123456, 'bob@example.com', 'ReadAudit', 'Tenant', NULL, 'orders-2', 'Started', NULL, '\xa1fc53383e010051fd204435371bf21920df5c9a7ccb7a47538ace269f8261c8', '\x18a505aecc72b017a97e97a6466f3246a89a057d0285fea8582bd58db290c3a7', '{"action":"ReadAudit","actor":{"groups":["team-a","system:authenticated"],"user":"bob@example.com","via":"Controllers"},"id":"01a0c461-355b-72ab-bb24-c5b1f7d5d98c","message":"50% of \"22\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","instance":"v0"},"outcome":"Started","seq":24,"target":{"kind":"Tenant","name":"orders-2","uid":"6f1c2a52-0000-4000-8000-000000000016"},"tenant":"team-a","time":"2026-09-21T14:31:40.123456Z"}'),
	('team-a', 25, '01a0c461-3943-7472-bc4d-b623d19ba8ed', 1790001101123456, 'system:serviceaccount:ci:deployer', 'ExportAudit', 'ChangeApproval', 'shop', 'orders-3', 'Succeeded', NULL, '\xb10b7385eebd69bc53e2caed481a89434d1686816dcd2c1a8a79a65d26f11e22', '\xca288a3ea88292b2ae96fa0be7549acfd45c6692621b31d9096780096c25811a', '{"action":"ExportAudit","actor":{"user":"system:serviceaccount:ci:deployer","via":"Api"},"id":"01a0c461-3943-7472-bc4d-b623d19ba8ed","origin":{"address":"192.0.2.7","component":"webhook","instance":"v0","userAgent":"eventctl/0.1"},"outcome":"Succeeded","requestId":"request-23","seq":25,"target":{"kind":"ChangeApproval","name":"orders-3","namespace":"shop"},"tenant":"team-a","time":"2026-09-21T14:31:41.123456Z"}'),
	('team-a', 13, '01a0c461-067b-7463-85b4-dda9544b8ab2', 1790001088123456, 'alice', 'RegisterSchema', 'EventTopic', 'shop', 'orders-2', 'Started', NULL, '\x822755b6f09624b4fe04a3156dc476490a7a36ae16346ea744d87b10f7cc46a7', '\xd3ac28d18df3cb08b57873a96e7a5cf54cdef35221a0f2e1b7fb30e9ace763be', '{"action":"RegisterSchema","actor":{"groups":["team-a","system:authenticated"],"user":"alice","via":"Admission"},"change":{"patch":[{"op":"test","path":"/spec/config/a.password","value":"[redacted]"},{"op":"replace","path":"/spec/config/a.password","value":"[redacted, changed]"},{"op":"test","path":"/spec/config/e","value":1.5e-7},{"op":"replace","path":"/spec/config/e","value":1e+30},{"op":"add","path":"/spec/config/𐀀","value":null},{"op":"test","path":"/spec/config/big","value":123456789012345680},{"op":"remove","path":"/spec/config/big"},{"op":"test","path":"/spec/partitions","value":3},{"op":"replace","path":"/spec/partitions","value":6}]},"id":"01a0c461-067b-7463-85b4-dda9544b8ab2","message":"50% of \"12\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","fieldManager":"kubectl-client-side-apply","instance":"v0"},"outcome":"Started","seq":13,"target":{"kind":"EventTopic","name":"orders-2","namespace":"shop","uid":"6f1c2a52-0000-4000-8000-00000000000c"},"tenant":"team-a","time":"2026-09-21T14:31:28.123456Z"}'),
	('team-a', 22, '01a0c461-2d8b-7546-85f2-00088049b27f', 1790001098123456, 'system:serviceaccount:ci:deployer', 'StopLeading', NULL, NULL, NULL, 'Allowed', NULL, '\x7ac405ce1a63046220757557a2b550e3e6372f3730233c59605d4017f3b007bf', '\x5792d4110cc101c4f2881df28fb521d8b3ad16953d12d13bfae8da4afa0021a7', '{"action":"StopLeading","actor":{"groups":["team-a","system:authenticated"],"user":"system:serviceaccount:ci:deployer","via":"Api"},"change":{"patch":[{"op":"test","path":"/spec/config/a.password","value":"[redacted]"},{"op":"replace","path":"/spec/config/a.password","value":"[redacted, changed]"},{"op":"test","path":"/spec/config/e","value":1.5e-7},{"op":"replace","path":"/spec/config/e","value":1e+30},{"op":"add","path":"/spec/config/𐀀","value":null},{"op":"test","path":"/spec/config/big","value":123456789012345680},{"op":"remove","path":"/spec/config/big"},{"op":"test","path":"/spec/partitions","value":3},{"op":"replace","path":"/spec/partitions","value":6}]},"id":"01a0c461-2d8b-7546-85f2-00088049b27f","message":"50% of \"20\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"address":"192.0.2.7","component":"webhook","instance":"v0","userAgent":"eventctl/0.1"},"outcome":"Allowed","seq":22,"tenant":"team-a","time":"2026-09-21T14:31:38.123456Z"}'),
	('_platform', 1, '01a0c461-48e3-7082-bbe9-e5d0c184887f', 1790001105123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x2602596228ac8bfd342b9b1acb260f625bcb42c338975bfe04077d5b179a4d60', '\x3b1a1336790e24d4bf22b1db71fcac0152dae6d21fb1b4b37ec2dd7d0ea74033', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c461-48e3-7082-bbe9-e5d0c184887f","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":1,"tenant":"_platform","time":"2026-09-21T14:31:45.123456Z"}'),
	('team-a', 15, '01a0c461-0e4b-75ea-9228-8c584befa836', 1790001090123456, 'system:serviceaccount:ci:deployer', 'RemoveFinalizer', 'ChangeApproval', 'shop', 'orders-4', 'Failed', NULL, '\x66437ed7c7f271c8f26727a5e8b6086593af2a8e15c43952c9efa25d552ea8a6', '\x5498531b063338db5694ec0dab14bd48904ada93c45c93063a1145a05d6c5e07', '{"action":"RemoveFinalizer","actor":{"groups":["team-a","system:authenticated"],"user":"system:serviceaccount:ci:deployer","via":"Api"},"id":"01a0c461-0e4b-75ea-9228-8c584befa836","message":"50% of \"14\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"address":"192.0.2.7","component":"webhook","instance":"v0","userAgent":"eventctl/0.1"},"outcome":"Failed","reason":"Forbidden","seq":15,"target":{"kind":"ChangeApproval","name":"orders-4","namespace":"shop","uid":"6f1c2a52-0000-4000-8000-00000000000e"},"tenant":"team-a","time":"2026-09-21T14:31:30.123456Z"}'),
	('team-a', 18, '01a0c461-1deb-7215-9e61-f6ad37464b31', 1790001094123456, 'system:serviceaccount:ci:deployer', 'RenewCertificate', 'ChangeApproval', 'shop', 'orders-2', 'Started', NULL, '\x59ab9874e1864ce4e61fd0c59da0df6c8b5238f96d4f3f9066a8b5a595b129f1', '\xe9b358fd7945475421f1c94fbe20b4952104806c50c754f81f79a1ae0447dca4', '{"action":"RenewCertificate","actor":{"user":"system:serviceaccount:ci:deployer","via":"Api"},"change":{"after":"28f046e469fc112529695c4c578c4e487db6dfe7b0d2ca7cb52fd6c10b7361e1","paths":["/spec/b~1~0","/spec/description"]},"id":"01a0c461-1deb-7215-9e61-f6ad37464b31","message":"50% of \"17\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"address":"192.0.2.7","component":"webhook","instance":"v0","userAgent":"eventctl/0.1"},"outcome":"Started","requestId":"request-17","seq":18,"target":{"kind":"ChangeApproval","name":"orders-2","namespace":"shop"},"tenant":"team-a","time":"2026-09-21T14:31:34.123456Z"}'),
	('team-a', 20, '01a0c461-25bb-744b-8e50-303cc4e139b5', 1790001096123456, 'alice', 'MakeKey', 'EventTopic', 'shop', 'orders-3', 'Succeeded', NULL, '\x61fc3c56188e79a43017135ea9f61ebf2fe192bc55b708fc83fcca94bfcd72d0', '\xce6ac9a59f24f47c36427f686f6317e22e3647c8b31c0d1df82f8af715695e10', '{"action":"MakeKey","actor":{"groups":["team-a","system:authenticated"],"user":"alice","via":"Admission"},"id":"01a0c461-25bb-744b-8e50-303cc4e139b5","message":"50% of \"18\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","fieldManager":"kubectl-client-side-apply","instance":"v0"},"outcome":"Succeeded","seq":20,"target":{"kind":"EventTopic","name":"orders-3","namespace":"shop","uid":"6f1c2a52-0000-4000-8000-000000000012"},"tenant":"team-a","time":"2026-09-21T14:31:36.123456Z"}'),
	('team-a', 23, '01a0c461-3173-758e-8d21-c23306ac02d2', 1790001099123456, 'alice', 'RefuseLogin', 'EventTopic', 'shop', 'orders-1', 'Denied', NULL, '\x68778dea3925c4989c249d0a7a68dbd16affe004f1eb76393ca1ff254112ee56', '\x01ef2bb36082b7fa0490fa2c6038d13e8d746d23ea23ff5ddfd0590762520d9f', '{"action":"RefuseLogin","actor":{"user":"alice","via":"Admission"},"change":{"after":"28f046e469fc112529695c4c578c4e487db6dfe7b0d2ca7cb52fd6c10b7361e1","paths":["/spec/b~1~0","/spec/description"]},"id":"01a0c461-3173-758e-8d21-c23306ac02d2","message":"50% of \"21\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","fieldManager":"kubectl-client-side-apply","instance":"v0"},"outcome":"Denied","reason":"Forbidden","requestId":"request-21","seq":23,"target":{"kind":"EventTopic","name":"orders-1","namespace":"shop"},"tenant":"team-a","time":"2026-09-21T14:31:39.123456Z","traceId":"4bf92f3577b34da6a3ce929d0e0e4736"}'),
	('team-a', 26, '01a0c461-3d2b-76ce-a2cc-e17a043ba714', 1790001102123456, 'alice', 'DropRecords', 'EventTopic', 'shop', 'orders-4', 'Failed', NULL, '\xe7e829345ccdd46be7857ba8d022700be245b9c800d6d35f823fc180b57f68b7', '\x51294933f07c39c2711a250a77cfe86416eb836aa98fa1adec15cd1ec9db545b', '{"action":"DropRecords","actor":{"groups":["team-a","system:authenticated"],"user":"alice","via":"Admission"},"change":{"patch":[{"op":"test","path":"/spec/config/a.password","value":"[redacted]"},{"op":"replace","path":"/spec/config/a.password","value":"[redacted, changed]"},{"op":"test","path":"/spec/config/e","value":1.5e-7},{"op":"replace","path":"/spec/config/e","value":1e+30},{"op":"add","path":"/spec/config/𐀀","value":null},{"op":"test","path":"/spec/config/big","value":123456789012345680},{"op":"remove","path":"/spec/config/big"},{"op":"test","path":"/spec/partitions","value":3},{"op":"replace","path":"/spec/partitions","value":6}]},"id":"01a0c461-3d2b-76ce-a2cc-e17a043ba714","message":"50% of \"24\"\\_ is „ÄPFEL“ <&> 😀\n","origin":{"component":"webhook","fieldManager":"kubectl-client-side-apply","instance":"v0"},"outcome":"Failed","reason":"Forbidden","seq":26,"target":{"kind":"EventTopic","name":"orders-4","namespace":"shop","uid":"6f1c2a52-0000-4000-8000-000000000018"},"tenant":"team-a","time":"2026-09-21T14:31:42.123456Z"}'),
	('_platform', 0, '01a0c461-44fb-73df-8c2a-08235c23fc6a', 1790001104123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x04e61911bc09988bd7f8f6fccd985d3a1200a05044f23de7050e2fb650c5acd5', '\x942f7df8ee67b1c0af55d7cdf896ddfe30466a57343417f90046896f5eb27def', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c461-44fb-73df-8c2a-08235c23fc6a","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":0,"tenant":"_platform","time":"2026-09-21T14:31:44.123456Z"}'),
	('_platform', 2, '01a0c461-4ccb-7356-802f-53ba7ec7b86a', 1790001106123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\xaf8fd6de8bb626a44e989a95d55814910112767959e7aa06e5bd498eb1facd6c', '\x5ce958fb902c8738d486b10b66128d46ae2521210d6eed074157aa9dd674e5a8', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c461-4ccb-7356-802f-53ba7ec7b86a","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":2,"tenant":"_platform","time":"2026-09-21T14:31:46.123456Z"}'),
	('shop', 260, '01a0c465-4c3b-73ab-8956-c19519da61bf', 1790001368123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\xa1315ae0599fdde0426e966a03e00963c6661f47035ea391f95e4838c3a8e80c', '\x7f54f20d832dede54eb7dabb11fc94ba10824472a61e5d913e442fc7c2d61d6f', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-4c3b-73ab-8956-c19519da61bf","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":260,"tenant":"shop","time":"2026-09-21T14:36:08.123456Z"}'),
	('shop', 263, '01a0c465-57f3-7535-8c35-806aeb793415', 1790001371123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x571fbbdaac18886ecf4997f6a9fa002736e75b50c03a25d692978efe77d7740c', '\xbb51c2b11b45e8607b874421fa0eedb3c1666ffda75ece52c73703e6a43923f2', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-57f3-7535-8c35-806aeb793415","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":263,"tenant":"shop","time":"2026-09-21T14:36:11.123456Z"}'),
	('shop', 269, '01a0c465-6f63-7128-95c3-5a7f600cccee', 1790001377123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x1ffcf271f6eff95ff88567db655f45559976cbb0fcf9ad5fecd633ed22f443e0', '\x654b7a5980c59a421bd19889fff617f9e3e88769347a08762e40bcd4f6310ea1', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-6f63-7128-95c3-5a7f600cccee","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":269,"tenant":"shop","time":"2026-09-21T14:36:17.123456Z"}'),
	('shop', 275, '01a0c465-86d3-7372-8062-0afaa6df6fca', 1790001383123456, 'al', 'Update', 'EventTopic', NULL, 't5', 'Allowed', NULL, '\x0088067b30dcbae1073accd3dfceebb6f2a6efb13bca352a649507f675bb20d9', '\x1f8c230e157cb18ecab5cb4587207f605020591e2a2fae9564a202d754a20669', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-86d3-7372-8062-0afaa6df6fca","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":275,"target":{"kind":"EventTopic","name":"t5"},"tenant":"shop","time":"2026-09-21T14:36:23.123456Z"}'),
	('shop', 257, '01a0c465-4083-7790-97d1-97abdd491799', 1790001365123456, 'bob', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x7cce2bda67491241e013e4277af634ef84f78cb116f2c1a8c455edd1b91ee7fc', '\xfddca5a5004fbe059e62e169a1b2e002d8404c8789ca13687cee970eba6d8a1f', '{"action":"Update","actor":{"user":"bob","via":"Api"},"id":"01a0c465-4083-7790-97d1-97abdd491799","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":257,"tenant":"shop","time":"2026-09-21T14:36:05.123456Z"}'),
	('shop', 264, '01a0c465-5bdb-7025-b514-ba52273d91f7', 1790001372123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x222acac4cf81713de37beebe500cb4866ae74d6ab3a490e48d21e4a82dd84c92', '\x201cb3623d54851cce337ba488406f664b9399418f3442b7c8a7a255dd2b3bf3', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-5bdb-7025-b514-ba52273d91f7","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":264,"tenant":"shop","time":"2026-09-21T14:36:12.123456Z"}'),
	('shop', 270, '01a0c465-734b-7205-8b31-125b8a2a1f98', 1790001378123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x3398cb3db322a26f3f1693e6fc3b6d3539e955d140ff725e3a39c38d9a530483', '\x92322be41e68261df4d5d48307ea8944dad5c815df2ff1b939ea508bdc885c5c', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-734b-7205-8b31-125b8a2a1f98","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":270,"tenant":"shop","time":"2026-09-21T14:36:18.123456Z"}'),
	('shop', 276, '01a0c465-8abb-72d8-a838-3b67eb00aca5', 1790001384123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\xda238aca51390936eceaa277451ee6cc95118b1dad6fb0e0428626ed1676777b', '\x3cfaa79ac49be6c5bf47884c894e6603824d83f2b11279cebb902b1f3cd1a2a4', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-8abb-72d8-a838-3b67eb00aca5","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":276,"tenant":"shop","time":"2026-09-21T14:36:24.123456Z"}'),
	('shop', 280, '01a0c465-9e43-7624-a85f-0677e33f328a', 1790001389123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\xd954b67deef90f76527e1caa080d8f845f4696cf880e35cd555d4fa2906048c6', '\xbc24267d8aeb12cfb2b1bd60b59b910de8ba817137923ca0bc4fed5665f0e3f6', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-9e43-7624-a85f-0677e33f328a","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":280,"tenant":"shop","time":"2026-09-21T14:36:29.123456Z"}'),
	('shop', 259, '01a0c465-4853-736b-bfb3-23814fd7e6ac', 1790001367123456, 'al', 'Update', 'EventTopic', NULL, 't7', 'Allowed', NULL, '\x2d2c1a00783b7b295c4413ab9618b06d1267148a56fea0c05ab7da20ad9b4524', '\x2a3fc4c10eb3d6a6a7e4e6fb2d6c073708234f069d0964abad472d2d9c4f2abc', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-4853-736b-bfb3-23814fd7e6ac","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":259,"target":{"kind":"EventTopic","name":"t7"},"tenant":"shop","time":"2026-09-21T14:36:07.123456Z"}'),
	('shop', 261, '01a0c465-5023-70d7-9b6b-a1cb2a305dcb', 1790001369123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x978c8ffcac0b0ea465c988e64f79b97ddd3702bac98a8e827fd6dfe3aa877117', '\xe9cbf30e1967348d373992bdefafe209f850add566f8bd6c68b7edf38acbe1b8', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-5023-70d7-9b6b-a1cb2a305dcb","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":261,"tenant":"shop","time":"2026-09-21T14:36:09.123456Z"}'),
	('shop', 265, '01a0c465-5fc3-70e5-ae72-814106b04127', 1790001373123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\xd565a35bf873ddaa58c246fce33886deca4c308979f536a356af65b14e85cc0f', '\x7e3c25d56541946ebbed2deba74411a32a1b77852f321644b4b127195f1f8884', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-5fc3-70e5-ae72-814106b04127","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":265,"tenant":"shop","time":"2026-09-21T14:36:13.123456Z"}'),
	('shop', 271, '01a0c465-7733-7483-95a2-39d11950ce34', 1790001379123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x6bb95217cca647aadd891ad946336ce362bf73e418acdc8f9dd7893749b79376', '\xce7688d8121a16e2690288d7f5f76302533749e644d3698e2a19fe8fc507e204', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-7733-7483-95a2-39d11950ce34","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":271,"tenant":"shop","time":"2026-09-21T14:36:19.123456Z"}'),
	('shop', 277, '01a0c465-8ea3-7354-88a1-9350007115ad', 1790001385123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x5826d5986777ff96e220c6d1eef0add45eb3091d28e4f0737b08a0b31c2806c6', '\x42bafd1a1f2faa4f2d44884dab8b2c87d7040dbd163bca36601ac681d31a6960', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-8ea3-7354-88a1-9350007115ad","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":277,"tenant":"shop","time":"2026-09-21T14:36:25.123456Z"}'),
	('shop', 256, '01a0c465-3c9b-75e9-8485-abf7f774eecb', 1790001364123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x0fc35a8cc74402b44f4049bbc8c4bda609ef62472e98ce9feb80ef6da0032a91', '\xa976117e235e5c4f0d166e0ed718fe073c756e92c087a5732391e9553771632e', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-3c9b-75e9-8485-abf7f774eecb","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":256,"tenant":"shop","time":"2026-09-21T14:36:04.123456Z"}'),
	('shop', 266, '01a0c465-63ab-7332-92ac-3a842353176b', 1790001374123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x2d3ab2d827a44c496905397fd9e6021819a91ac4a03e541e9891f716d5791389', '\x5a43eedff96adf816208f3348a68e752cf128f7a8a6fa0b6360e9a56fff371cf', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-63ab-7332-92ac-3a842353176b","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":266,"tenant":"shop","time":"2026-09-21T14:36:14.123456Z"}'),
	('shop', 272, '01a0c465-7b1b-70b6-bead-e558a1cebd6e', 1790001380123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x34924cd26206299323045024f7d3c7e24658375c08d7c4afc2ef31be605de63a', '\xfb59b882f2c9c207f1e30ee26cf0bceb72b6a4263704da127599b5ae21735449', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-7b1b-70b6-bead-e558a1cebd6e","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":272,"tenant":"shop","time":"2026-09-21T14:36:20.123456Z"}'),
	('shop', 278, '01a0c465-928b-721f-9c6b-1d79ac6aa658', 1790001386123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x8cfbdac97039eeac4393a955a38867f0cc83ffda40559196272b510110ef12a9', '\x868a507e14a7e6c468f11d105dbe764ad20350e5ea61eadbe82060040ee676f2', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-928b-721f-9c6b-1d79ac6aa658","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":278,"tenant":"shop","time":"2026-09-21T14:36:26.123456Z"}'),
	('shop', 258, '01a0c465-446b-747b-a4de-3d6bdc46bb18', 1790001366123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x3706e894857a73ffe2d187350ddcac546c0223aedf74dead7f595ecadae3eba8', '\xeb9a85098cec107590025567a64d4dc2b67054cea30ef142d11a8f1c040eb738', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-446b-747b-a4de-3d6bdc46bb18","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":258,"tenant":"shop","time":"2026-09-21T14:36:06.123456Z"}'),
	('shop', 262, '01a0c465-540b-7032-8a26-170da757fb02', 1790001370123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x1d80590ab704deb64eb6559a82842c94bbe9a42640f0d918230d7cd998fc7543', '\x2e3314e5d2870cfa13e72dc912e5bface82907e3badc482dc49f0c8735af2d4a', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-540b-7032-8a26-170da757fb02","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":262,"tenant":"shop","time":"2026-09-21T14:36:10.123456Z"}'),
	('shop', 267, '01a0c465-6793-7430-ac6b-34c83359a235', 1790001375123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x26cd4469a29b015fbba6cea51dca61558a6437de96e9626e2985fa145ae3b4f4', '\x6880e9c43876cdc18248b7fb0ea73085025e57bbc97beb3fe0e5321106f51c15', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-6793-7430-ac6b-34c83359a235","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":267,"tenant":"shop","time":"2026-09-21T14:36:15.123456Z"}'),
	('shop', 273, '01a0c465-7f03-72e7-b3d5-9a310a2de7bb', 1790001381123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x239c69791ff84857f9bd69b413b46372627680d223d741b484be0c6e0fa41a6e', '\x16bae57f2dfb490274b974e1ed6db2733f26cf01a5e4fa375df90fa47dbf4d68', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-7f03-72e7-b3d5-9a310a2de7bb","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":273,"tenant":"shop","time":"2026-09-21T14:36:21.123456Z"}'),
	('shop', 279, '01a0c465-9673-77b8-8196-ec46a0e28890', 1790001387123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\xa200668ee851b28360a7e0ce93a48308a9ef0990c558460abb6d32fa1c969d98', '\xe914eea80ffbbb01a64f7c8d227f09b00864cb1d41207d1dfe5f3bfae37f187d', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-9673-77b8-8196-ec46a0e28890","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":279,"tenant":"shop","time":"2026-09-21T14:36:27.123456Z"}'),
	('shop', 268, '01a0c465-6b7b-77a8-914d-da676610af2a', 1790001376123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\xe9819b17d1e87c51f4937a6123cd139ff78e0eaea431e0b248c23bdc611806d6', '\xa433bf06f13dd84d6449eb34faebf39d4ba559886fa5f4ab58d61bd2cd15042d', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-6b7b-77a8-914d-da676610af2a","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":268,"tenant":"shop","time":"2026-09-21T14:36:16.123456Z"}'),
	('shop', 274, '01a0c465-82eb-7187-93ec-808462a6694e', 1790001382123456, 'al', 'Update', NULL, NULL, NULL, 'Allowed', NULL, '\x641d3c61c7cad7c590a78160a2315b644d07dcc0ccd3b930fb44508aba14d60e', '\x2ed0db4b33283f74e46d8f017b7132b91f6834174cae4c5ade42c85d223b580b', '{"action":"Update","actor":{"user":"al","via":"Api"},"id":"01a0c465-82eb-7187-93ec-808462a6694e","origin":{"component":"webhook","instance":"v0"},"outcome":"Allowed","seq":274,"tenant":"shop","time":"2026-09-21T14:36:22.123456Z"}');


--
-- Name: _sqlx_migrations _sqlx_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);


--
-- Name: audit_checkpoint audit_checkpoint_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_checkpoint
    ADD CONSTRAINT audit_checkpoint_pkey PRIMARY KEY (log, size);


--
-- Name: audit_head audit_head_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_head
    ADD CONSTRAINT audit_head_pkey PRIMARY KEY (log);


--
-- Name: audit_indexed audit_indexed_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_indexed
    ADD CONSTRAINT audit_indexed_pkey PRIMARY KEY (log);


--
-- Name: audit_node audit_node_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_node
    ADD CONSTRAINT audit_node_pkey PRIMARY KEY (log, level, idx);


--
-- Name: audit_posting audit_posting_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_posting
    ADD CONSTRAINT audit_posting_pkey PRIMARY KEY (log, segment, field, value);


--
-- Name: audit_record audit_record_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_record
    ADD CONSTRAINT audit_record_pkey PRIMARY KEY (log, seq);


--
-- Name: audit_record_completes; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX audit_record_completes ON public.audit_record USING btree (log, completes) WHERE (completes IS NOT NULL);


--
-- Name: audit_record_id; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX audit_record_id ON public.audit_record USING btree (log, id);


--
-- PostgreSQL database dump complete
--


