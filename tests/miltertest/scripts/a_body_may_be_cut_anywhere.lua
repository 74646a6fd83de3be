local conn = connect()
greet(conn)
envelope(conn, "<sender@origin.example>", "<rcpt@dest.example>")
headers(conn, "cut")
for _, piece in ipairs({ "One\r", "\nTwo", "\r", "\n", "\r\n", ".", "\r\nThree\r\n" }) do
	ok("body", mt.bodystring(conn, piece))
end
ok("eom", mt.eom(conn))
passes(conn, "eom")
mt.disconnect(conn)
