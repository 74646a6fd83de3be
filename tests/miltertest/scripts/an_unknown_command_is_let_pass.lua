-- Where the filter does not ask to be spared such commands, it answers them.
local conn = connect()
negotiate_old(conn, 3, 0x3f)
greet(conn)
ok("unknown", mt.unknown(conn, "XFROBNICATE now"))
reply_is(conn, "unknown", SMFIR_CONTINUE)
message(conn, "x")
passes(conn, "eom")
mt.disconnect(conn)
