local conn = connect()
greet(conn)
-- After MAIL, after RCPT, within the header, after it, within the body.
for point = 1, 5 do
	ok("mail", mt.mailfrom(conn, "<given-up@origin.example>"))
	if point > 1 then ok("rcpt", mt.rcptto(conn, "<lost@dest.example>")) end
	if point > 2 then ok("header", mt.header(conn, "X-Lost", "yes")) end
	if point > 3 then eoh(conn) end
	if point > 4 then ok("body", mt.bodystring(conn, "Lost.\r\n")) end
	ok("abort", mt.abort(conn))
end
message(conn, "the only one")
passes(conn, "eom")
ok("abort after the end", mt.abort(conn))
mt.disconnect(conn)
