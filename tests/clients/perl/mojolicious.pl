#!/usr/bin/env perl
# A line client on Mojolicious.
use Mojo::Base -strict, -signatures;
use Mojo::IOLoop;
use Mojo::IOLoop::Stream;
use Mojo::UserAgent;
use Mojo::Util qw(decode encode);

STDOUT->autoflush(1);

# Sends each line of standard input, and closes at its end.
sub say_lines ($tx) {
  my $input = Mojo::IOLoop::Stream->new(\*STDIN)->timeout(0);
  my $rest  = '';
  $input->on(
    read => sub ($stream, $bytes) {
      $rest .= $bytes;
      $tx->send(decode 'UTF-8', $1) while $rest =~ s/^(.*)\n//;
    }
  );
  $input->on(close => sub ($stream) { $tx->finish(1000 => 'bye') });
  Mojo::IOLoop->stream($input);
}

my $agent = Mojo::UserAgent->new;
$agent->websocket(
  $ARGV[0] => {'Sec-WebSocket-Extensions' => 'permessage-deflate'} => sub ($agent, $tx) {
    die 'The handshake failed: ', $tx->res->code // 'no answer', "\n" unless $tx->is_websocket;
    say 'open';
    $tx->on(message => sub ($tx, $text) { say 'message ', encode 'UTF-8', $text });
    $tx->on(
      finish => sub ($tx, $code, $reason) {
        say 'closed ', $code // 'without a code';
        Mojo::IOLoop->stop;
      }
    );
    say_lines($tx);
  }
);
Mojo::IOLoop->start;
