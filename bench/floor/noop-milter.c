/*
 * The floor: a libmilter filter that does nothing. It accepts every message
 * after its whole body was sent, and asks for no-reply steps, so that this is
 * the least that a filter on libmilter can cost.
 *
 *   noop-milter [-q] ADDRESS
 *
 * ADDRESS is libmilter's own: inet:PORT@127.0.0.1 or unix:/path. With -q
 * TCP_QUICKACK is set after each read: without it a Postfix over TCP loses
 * about 40 ms a message, where Nagle's algorithm meets the delayed ACK.
 */
#define _GNU_SOURCE
#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int quickack;

/*
 * libmilter gives no way to its sockets; it reads them with read(2), and a
 * definition in the program comes before libc's.
 */
ssize_t
read(int fd, void *buffer, size_t length)
{
	ssize_t count = syscall(SYS_read, fd, buffer, length);

	if (quickack && count > 0) {
		int on = 1;

		(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
	}
	return count;
}

static sfsistat
negotiate(SMFICTX *context, unsigned long f0, unsigned long f1, unsigned long f2, unsigned long f3,
    unsigned long *pf0, unsigned long *pf1, unsigned long *pf2, unsigned long *pf3)
{
	unsigned long wanted = SMFIP_NR_CONN | SMFIP_NR_HELO | SMFIP_NR_MAIL | SMFIP_NR_RCPT | SMFIP_NR_DATA |
	    SMFIP_NR_UNKN | SMFIP_NR_HDR | SMFIP_NR_EOH | SMFIP_NR_BODY;

	(void)context, (void)f2, (void)f3;
	*pf0 = f0;
	*pf1 = f1 & wanted;
	*pf2 = 0;
	*pf3 = 0;
	return SMFIS_CONTINUE;
}

static sfsistat
on_connect(SMFICTX *context, char *host, _SOCK_ADDR *address)
{
	(void)context, (void)host, (void)address;
	return SMFIS_NOREPLY;
}

static sfsistat
on_word(SMFICTX *context, char *word)
{
	(void)context, (void)word;
	return SMFIS_NOREPLY;
}

static sfsistat
on_path(SMFICTX *context, char **words)
{
	(void)context, (void)words;
	return SMFIS_NOREPLY;
}

static sfsistat
on_header(SMFICTX *context, char *name, char *value)
{
	(void)context, (void)name, (void)value;
	return SMFIS_NOREPLY;
}

static sfsistat
on_step(SMFICTX *context)
{
	(void)context;
	return SMFIS_NOREPLY;
}

static sfsistat
on_body(SMFICTX *context, unsigned char *chunk, size_t length)
{
	(void)context, (void)chunk, (void)length;
	return SMFIS_NOREPLY;
}

static sfsistat
on_end(SMFICTX *context)
{
	(void)context;
	return SMFIS_ACCEPT;
}

static struct smfiDesc description = {
	.xxfi_name = "noop",
	.xxfi_version = SMFI_VERSION,
	.xxfi_flags = SMFIF_ADDHDRS,
	.xxfi_connect = on_connect,
	.xxfi_helo = on_word,
	.xxfi_envfrom = on_path,
	.xxfi_envrcpt = on_path,
	.xxfi_header = on_header,
	.xxfi_eoh = on_step,
	.xxfi_body = on_body,
	.xxfi_eom = on_end,
	.xxfi_data = on_step,
	.xxfi_negotiate = negotiate,
};

int
main(int count, char **words)
{
	int option;

	while ((option = getopt(count, words, "q")) != -1) {
		if (option != 'q') {
			fprintf(stderr, "usage: noop-milter [-q] ADDRESS\n");
			return 2;
		}
		quickack = 1;
	}
	if (optind + 1 != count) {
		fprintf(stderr, "usage: noop-milter [-q] ADDRESS\n");
		return 2;
	}
	(void)smfi_setbacklog(1024);
	if (smfi_setconn(words[optind]) != MI_SUCCESS || smfi_register(description) != MI_SUCCESS) {
		fprintf(stderr, "noop-milter: %s: not an address, or out of memory\n", words[optind]);
		return 1;
	}
	return smfi_main() == MI_SUCCESS ? 0 : 1;
}
