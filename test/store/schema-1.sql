-- A file as schema 1 left it: before actors could save their state.
PRAGMA application_id = 1347178320;
PRAGMA user_version = 1;
CREATE TABLE users (
     id INTEGER PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     created_at INTEGER NOT NULL
   ) STRICT;
CREATE TABLE chats (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     name TEXT NOT NULL,
     type TEXT NOT NULL CHECK (type = 'direct' OR type = 'group' OR type = 'channel'),
     creator_id INTEGER NOT NULL REFERENCES users (id),
     created_at INTEGER NOT NULL,
     updated_at INTEGER NOT NULL,
     participants INTEGER NOT NULL,
     messages INTEGER NOT NULL DEFAULT 0
   ) STRICT;
CREATE TABLE participants (
     user_id INTEGER NOT NULL REFERENCES users (id),
     chat_id INTEGER NOT NULL REFERENCES chats (id),
     role TEXT NOT NULL CHECK (role = 'admin' OR role = 'member'),
     PRIMARY KEY (user_id, chat_id)
   ) STRICT, WITHOUT ROWID;
CREATE TABLE messages (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     chat_id INTEGER NOT NULL REFERENCES chats (id),
     sequence INTEGER NOT NULL,
     sender_id INTEGER NOT NULL REFERENCES users (id),
     content TEXT NOT NULL,
     type TEXT NOT NULL CHECK (type = 'Text' OR type = 'Image' OR type = 'File' OR type = 'System'),
     created_at INTEGER NOT NULL,
     UNIQUE (chat_id, sequence)
   ) STRICT;
INSERT INTO users VALUES (1, 'user-1', 1767225600), (2, 'ada', 1767225601);
INSERT INTO chats VALUES
  (1, 'General', 'group', 1, 1767225600, 1767225610, 2, 2),
  (2, 'both', 'direct', 2, 1767225605, 1767225611, 2, 1);
INSERT INTO participants VALUES (1, 1, 'admin'), (1, 2, 'member'), (2, 1, 'member'), (2, 2, 'admin');
INSERT INTO messages VALUES
  (1, 1, 1, 1, 'first', 'Text', 1767225609),
  (2, 1, 2, 2, 'second', 'Image', 1767225610),
  (4, 2, 1, 2, 'third', 'Text', 1767225611);
