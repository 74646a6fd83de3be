local conn = connect()
greet(conn)
message(conn, "x")
reply_is(conn, "eom", SMFIR_REPLYCODE)
if not mt.eom_check(conn, MT_SMTPREPLY, "554", "5.7.9", "We do not take this") then
	fail("another reply")
end
mt.disconnect(conn)
