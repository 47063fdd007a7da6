package wire

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// The methods of logging in that are known.
const (
	methodNative  = "mysql_native_password"
	methodCaching = "caching_sha2_password"
	methodClear   = "mysql_clear_password"
	methodDialog  = "dialog"
)

const (
	scrambleSize = 20
	msgMore      = 0x01
)

// authenticate answers the server until it lets us in.
func (c *Conn) authenticate(g greeting) error {
	method, scramble := g.plugin, g.scramble
	for {
		p, err := c.next()
		if err != nil {
			return err
		}
		if len(p) == 0 {
			return ErrProtocol
		}
		switch p[0] {
		case msgOK:
			return nil
		case msgError:
			return parseError(p)
		case msgEOF:
			if method, scramble, err = switched(p); err == nil {
				err = c.reply(method, scramble)
			}
		case msgMore:
			err = c.more(method, scramble, p[1:])
		default:
			err = ErrProtocol
		}
		if err != nil {
			return err
		}
	}
}

// switched reads the request to use another method.
func switched(p []byte) (method string, scramble []byte, err error) {
	name, rest, ok := bytes.Cut(p[1:], []byte{0})
	if !ok {
		return "", nil, fmt.Errorf("%w: the server wants the password's form of before 4.1", ErrProtocol)
	}
	return string(name), bytes.Clone(rest[:min(len(rest), scrambleSize)]), nil
}

func (c *Conn) reply(method string, scramble []byte) error {
	answer, err := c.answer(method, scramble)
	if err != nil {
		return err
	}
	return c.write(answer)
}

// answer computes a method's answer to a scramble.
func (c *Conn) answer(method string, scramble []byte) ([]byte, error) {
	if c.config.Password == "" {
		if method == methodCaching {
			return []byte{}, nil
		}
		return nil, nil
	}
	switch method {
	case methodNative:
		return nativeAnswer(c.config.Password, scramble), nil
	case methodCaching:
		return cachingAnswer(c.config.Password, scramble), nil
	case methodClear, methodDialog:
		if !c.secure && !c.local {
			return nil, fmt.Errorf("the account's method %s sends the password as it is: use TLS", method)
		}
		return append([]byte(c.config.Password), 0), nil
	}
	return nil, fmt.Errorf("the account's authentication method %q is not supported: use mysql_native_password, or TLS with caching_sha2_password", method)
}

// nativeAnswer is SHA1(password) XOR SHA1(scramble + SHA1(SHA1(password))).
func nativeAnswer(password string, scramble []byte) []byte {
	one := sha1.Sum([]byte(password))
	two := sha1.Sum(one[:])
	mix := sha1.Sum(append(bytes.Clone(scramble), two[:]...))
	subtle.XORBytes(one[:], one[:], mix[:])
	return one[:]
}

// cachingAnswer is SHA256(password) XOR SHA256(SHA256(SHA256(password)) + scramble).
func cachingAnswer(password string, scramble []byte) []byte {
	one := sha256.Sum256([]byte(password))
	two := sha256.Sum256(one[:])
	mix := sha256.Sum256(append(two[:], scramble...))
	subtle.XORBytes(one[:], one[:], mix[:])
	return one[:]
}

// more goes on with caching_sha2_password where the server does not have the password in its cache.
func (c *Conn) more(method string, scramble, p []byte) error {
	const fastOK, full, askKey = 3, 4, 2
	if method != methodCaching || len(p) == 0 {
		return fmt.Errorf("%w: authentication method %s goes on", ErrProtocol, method)
	}
	if p[0] == fastOK {
		return nil
	}
	if p[0] != full {
		return ErrProtocol
	}
	if c.secure || c.local {
		return c.write(append([]byte(c.config.Password), 0))
	}
	if err := c.write([]byte{askKey}); err != nil {
		return err
	}
	key, err := c.next()
	if err != nil {
		return err
	}
	answer, err := underKey(c.config.Password, scramble, key)
	if err != nil {
		return err
	}
	return c.write(answer)
}

// underKey encrypts the password for the server's public key.
func underKey(password string, scramble, message []byte) ([]byte, error) {
	if len(message) == 0 || message[0] != msgMore {
		return nil, ErrProtocol
	}
	block, _ := pem.Decode(message[1:])
	if block == nil {
		return nil, errors.New("the server's public key is no PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("the server's public key is not of RSA")
	}
	plain := append([]byte(password), 0)
	for i := range plain {
		plain[i] ^= scramble[i%len(scramble)]
	}
	return rsa.EncryptOAEP(sha1.New(), rand.Reader, key, plain, nil)
}
