// Signing in and registering, in words.

import { catalogue } from '../i18n.js';

export const en = {
  'signin.title': 'Sign in',
  'signin.username': 'Username or e-mail',
  'signin.username.missing': 'Please enter your username or e-mail.',
  'signin.password': 'Password',
  'signin.password.missing': 'Please enter your password.',
  'signin.submit': 'Sign in',
  'signin.no_account': 'No account yet?',
  'register.link': 'Create one',
  'register.title': 'Create an account',
  'register.setup': 'Set up this server',
  'register.setup.text': 'This account will run the server. The link works once.',
  'register.setup.used': 'This link was used already, or it is of another server. Sign in, or look for a newer link where the server was started.',
  'register.username': 'Username',
  'register.username.hint': '3 to 32 Latin letters, digits, dots, dashes or underscores.',
  'register.email': 'E-mail',
  'register.email.wrong': 'This does not look like an e-mail address.',
  'register.password.hint': { one: 'At least {n} character.', other: 'At least {n} characters.' },
  'register.secret': 'Registration secret',
  'register.secret.hint': 'Ask whoever runs this server for it.',
  'register.submit': 'Create account',
  'register.taken': 'This username or e-mail is taken.',
  'register.have_account': 'Have an account?',
  'error.wrong_credentials': 'The name or the password is wrong.',
  'error.wrong_secret': 'The registration secret is wrong.',
  'error.registration_closed': 'New accounts cannot be created here. Ask whoever runs this server.',
};

/** @type {Record<keyof typeof en, import('../i18n.js').Entry>} */
export const ru = {
  'signin.title': 'Вход',
  'signin.username': 'Имя пользователя или почта',
  'signin.username.missing': 'Напишите имя пользователя или почту.',
  'signin.password': 'Пароль',
  'signin.password.missing': 'Напишите пароль.',
  'signin.submit': 'Войти',
  'signin.no_account': 'Нет учётной записи?',
  'register.link': 'Создать',
  'register.title': 'Новая учётная запись',
  'register.setup': 'Настройка сервера',
  'register.setup.text': 'Эта учётная запись будет управлять сервером. Ссылка действует один раз.',
  'register.setup.used': 'Эта ссылка уже использована или относится к другому серверу. Войдите или найдите новую ссылку там, где запускали сервер.',
  'register.username': 'Имя пользователя',
  'register.username.hint': 'От 3 до 32 латинских букв, цифр, точек, дефисов или подчёркиваний.',
  'register.email': 'Почта',
  'register.email.wrong': 'Это не похоже на адрес почты.',
  'register.password.hint': { one: 'Не меньше {n} символа.', few: 'Не меньше {n} символов.', many: 'Не меньше {n} символов.', other: 'Не меньше {n} символов.' },
  'register.secret': 'Секрет регистрации',
  'register.secret.hint': 'Его знает тот, кто управляет сервером.',
  'register.submit': 'Создать учётную запись',
  'register.taken': 'Это имя пользователя или почта уже заняты.',
  'register.have_account': 'Есть учётная запись?',
  'error.wrong_credentials': 'Имя или пароль неверны.',
  'error.wrong_secret': 'Секрет регистрации неверен.',
  'error.registration_closed': 'Новые учётные записи здесь не создаются. Обратитесь к тому, кто управляет сервером.',
};

export const t = catalogue(en, ru);
