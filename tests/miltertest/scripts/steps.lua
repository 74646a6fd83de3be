-- What the scripts here share: a connection, a message, and steps that insist on their answer.
-- Loaded before each of them; `port` is given by the test.

-- miltertest does not show what error() says.
function fail(why)
	mt.echo(why)
	error(why)
end

-- These two are left out where the filter does not want to hear of them.
function data(conn)
	if not mt.test_option(conn, SMFIP_NODATA) then ok("data", mt.data(conn)) end
end

function eoh(conn)
	if not mt.test_option(conn, SMFIP_NOEOH) then ok("eoh", mt.eoh(conn)) end
end

function connect()
	local conn = mt.connect("inet:" .. port .. "@127.0.0.1")
	if conn == nil then fail("nobody listens") end
	return conn
end

-- A step must succeed; nil is miltertest's word for success.
function ok(what, failure)
	if failure ~= nil then fail(what .. ": " .. tostring(failure)) end
end

function reply_is(conn, what, wanted)
	local reply = mt.getreply(conn)
	if reply ~= wanted then
		fail(what .. " was answered '" .. string.char(reply) .. "', not '" .. string.char(wanted) .. "'")
	end
end

-- Either answer lets a message go on unchanged or edited.
function passes(conn, what)
	local reply = mt.getreply(conn)
	if reply ~= SMFIR_CONTINUE and reply ~= SMFIR_ACCEPT then
		fail(what .. " was answered '" .. string.char(reply) .. "'")
	end
end

-- The old protocol: nothing may go unanswered, and few edits are possible.
-- (The manual page has miltertest's last two parameters the wrong way round.)
function negotiate_old(conn, version, actions)
	ok("negotiation", mt.negotiate(conn, version, 0x7f, actions))
end

function greet(conn)
	ok("connect", mt.conninfo(conn, "client.example", "192.0.2.7"))
	ok("helo", mt.helo(conn, "client.example"))
end

function envelope(conn, sender, ...)
	ok("mail", mt.mailfrom(conn, sender))
	for _, recipient in ipairs({...}) do ok("rcpt", mt.rcptto(conn, recipient)) end
end

function headers(conn, subject)
	data(conn)
	-- miltertest puts the blank after the colon by itself.
	ok("header", mt.header(conn, "From", "<sender@origin.example>"))
	ok("header", mt.header(conn, "Subject", subject))
	eoh(conn)
end

function message(conn, subject)
	envelope(conn, "<sender@origin.example>", "<rcpt@dest.example>")
	headers(conn, subject)
	ok("body", mt.bodystring(conn, "Hello.\r\n"))
	ok("eom", mt.eom(conn))
end
