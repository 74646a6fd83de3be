-- Nobody waits for an answer where the filter asked to give none; in the old protocol it is given.
local conn = connect()
ok("negotiation", mt.negotiate(conn, 3, 0x3f, 0x7f))
greet(conn)
ok("unknown", mt.unknown(conn, "XFROBNICATE now"))
reply_is(conn, "unknown", SMFIR_CONTINUE)
message(conn, "x")
passes(conn, "eom")
mt.disconnect(conn)
