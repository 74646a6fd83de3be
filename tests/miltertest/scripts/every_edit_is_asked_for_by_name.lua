local conn = connect()
greet(conn)
message(conn, "x")
passes(conn, "eom")
if not mt.eom_check(conn, MT_HDRINSERT, "X-Top") then fail("no header inserted") end
if not mt.eom_check(conn, MT_HDRCHANGE, "Subject") then fail("no header changed") end
if not mt.eom_check(conn, MT_BODYCHANGE, "Another body.\r\n") then fail("no body") end
if not mt.eom_check(conn, MT_RCPTADD, "<new@dest.example>") then fail("no recipient added") end
if not mt.eom_check(conn, MT_RCPTDELETE, "<rcpt@dest.example>") then fail("no recipient removed") end
mt.disconnect(conn)
