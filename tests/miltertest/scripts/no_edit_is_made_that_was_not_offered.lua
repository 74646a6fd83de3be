-- Only adding headers is offered; the verdict wants everything.
local conn = connect()
negotiate_old(conn, 2, SMFIF_ADDHDRS)
greet(conn)
message(conn, "x")
passes(conn, "eom")
if not mt.eom_check(conn, MT_HDRINSERT, "X-Bottom") then fail("what can be done is not done") end
if mt.eom_check(conn, MT_BODYCHANGE) then fail("changed the body unasked") end
if mt.eom_check(conn, MT_RCPTADD, "<new@dest.example>") then fail("added a recipient unasked") end
if mt.eom_check(conn, MT_HDRCHANGE, "Subject") then fail("changed a header unasked") end
mt.disconnect(conn)
