local conn = connect()
greet(conn)
message(conn, "x")
passes(conn, "eom")
if not mt.eom_check(conn, MT_HDRINSERT, "X-Top") then error("no header inserted") end
if not mt.eom_check(conn, MT_HDRCHANGE, "Subject") then error("no header changed") end
if not mt.eom_check(conn, MT_BODYCHANGE, "Another body.\r\n") then error("no body") end
if not mt.eom_check(conn, MT_RCPTADD, "<new@dest.example>") then error("no recipient added") end
if not mt.eom_check(conn, MT_RCPTDELETE, "<rcpt@dest.example>") then error("no recipient removed") end
mt.disconnect(conn)
